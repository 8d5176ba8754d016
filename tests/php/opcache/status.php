<?php
// When OPcache has last used each script: spelled out, it is the time that the number says. Many times over.
$seen = ['scripts' => 0, 'wrong' => []];
for ($i = 0; $i < 20000; $i++) {
    foreach (opcache_get_status()['scripts'] as $script) {
        $seen['scripts']++;
        if (substr($script['last_used'], 17, 2) !== date('s', $script['last_used_timestamp'])) {
            $seen['wrong'][$script['last_used']] = $script['last_used_timestamp'];
        }
    }
}
header('Content-Type: application/json');
echo json_encode($seen);
