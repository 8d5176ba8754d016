<?php
// Looks one thing up, over and over, and answers with all that it was ever told.
$lookups = [
    'tcp' => fn() => getprotobyname('tcp'),
    'udp' => fn() => getprotobyname('udp'),
    '6' => fn() => getprotobynumber(6),
    '17' => fn() => getprotobynumber(17),
    'ssh' => fn() => getservbyname('ssh', 'tcp'),
    'domain' => fn() => getservbyname('domain', 'udp'),
    '22' => fn() => getservbyport(22, 'tcp'),
    '53' => fn() => getservbyport(53, 'udp'),
    'none' => fn() => getservbyname('no such service', 'tcp'),
];
$lookup = $lookups[$_GET['what']];
for ($i = 0; $i < 2000; $i++) {
    $told[json_encode($lookup())] = true;
}
echo implode(' or ', array_keys($told));
