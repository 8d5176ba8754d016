<?php
// As a worker script: uses OPcache's memory for as long as it runs.
$tell = function () {
    if (($_GET['do'] ?? '') === 'fill') {
        // Each version takes memory of its own, until there is none left.
        $file = $_GET['file'];
        for ($n = 0; $n < 2000 && !opcache_get_status(false)['restart_pending']; $n++) {
            opcache_invalidate($file, true);
            opcache_compile_file($file);
        }
    }
    $status = opcache_get_status(false);
    $statistics = $status['opcache_statistics'];
    echo json_encode([
        'pending' => $status['restart_pending'],
        'restarts' => $statistics['oom_restarts'] + $statistics['hash_restarts'],
    ]);
};
if (isset($_SERVER['FRANKENPHP_WORKER_NAME'])) {
    while (frankenphp_handle_request($tell));
} else {
    $tell();
}
