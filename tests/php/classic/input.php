<?php
// The body read as a stream, and once more from its beginning.
require __DIR__ . '/../shared.php';

$input = fopen('php://input', 'r');
$read = function () use ($input): array {
    $hash = hash_init('sha256');
    $length = 0;
    while (!feof($input)) {
        $piece = fread($input, 65536);
        $length += strlen($piece);
        hash_update($hash, $piece);
    }
    return [$length, hash_final($hash)];
};
[$length, $hash] = $read();
rewind($input);
reply([
    'length' => $length,
    'sha256' => $hash,
    'again' => $read() === [$length, $hash],
    'memory' => memory_get_peak_usage(),
    'post' => count($_POST),
]);
