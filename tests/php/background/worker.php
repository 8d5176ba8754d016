#!/usr/bin/env php
<?php
// Publishes how often it was started, and works on tasks until it is told to stop.
require __DIR__ . '/../shared.php';

note('boots', $_SERVER['argv'][1]);
$signals = frankenphp_worker_get_signaling_stream();
frankenphp_worker_set_vars([
    'name' => $_SERVER['FRANKENPHP_WORKER_NAME'],
    'background' => $_SERVER['FRANKENPHP_WORKER_BACKGROUND'],
    'boots' => substr_count(file_get_contents(scratch('boots')), "\n"),
    'limit' => ini_get('max_execution_time'),
]);
while (($signal = fgets($signals)) !== false && $signal !== "stop\n") {
    while ($task = frankenphp_worker_task_receive()) {
        [$stream, $payload] = $task;
        for ($i = 1; $i <= ($payload['updates'] ?? 0); $i++) {
            frankenphp_worker_task_update($stream, ['update' => $i]);
        }
        match ($payload['end'] ?? 'complete') {
            'complete' => fclose($stream),
            'exit' => exit(),
            'throw' => throw new LogicException('amid a task'),
        };
    }
}
note('stops', $_SERVER['FRANKENPHP_WORKER_NAME']);
