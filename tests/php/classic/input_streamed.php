<?php
// Says how much it has read while the client still sends. PHP itself reads in pieces of 8 KiB.
require __DIR__ . '/../shared.php';

$input = fopen('php://input', 'r');
$read = strlen(fread($input, 8192));
note('read', (string) $read);
reply($read + strlen(stream_get_contents($input)));
