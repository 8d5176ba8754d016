<?php
// What is preloaded, and whether code is compiled for the processor; as a plain script and as a worker.
require __DIR__ . '/../shared.php';

/** Worth compiling: a loop that takes its time. */
function sum(int $to): int
{
    $sum = 0;
    for ($i = 1; $i <= $to; $i++) {
        $sum += $i % 7;
    }
    return $sum;
}

$answer = function (): void {
    $status = opcache_get_status(false);
    reply([
        'preloaded' => class_exists('Preloaded', false) ? [Preloaded::says(), preloaded()] : null,
        'preloaded scripts' => isset($status['preload_statistics']),
        'sum' => sum(200_000),
        'jit' => $status['jit']['on'] ?? false,
        'jit memory' => ($status['jit']['buffer_size'] ?? 0) - ($status['jit']['buffer_free'] ?? 0),
        'worker' => $_SERVER['FRANKENPHP_WORKER_NAME'] ?? null,
    ]);
};

if (!isset($_SERVER['FRANKENPHP_WORKER_NAME'])) {
    $answer();
    return;
}
while (frankenphp_handle_request($answer)) {
}
