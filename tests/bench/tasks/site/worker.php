<?php
// Answers each task with one update, the payload itself, or with as many as it is asked for.
$signals = frankenphp_worker_get_signaling_stream();
while (($signal = fgets($signals)) !== false && $signal !== "stop\n") {
    while ($task = frankenphp_worker_task_receive()) {
        [$stream, $payload] = $task;
        for ($left = $payload['updates']; $left > 0; $left--) {
            frankenphp_worker_task_update($stream, ['text' => $payload['text']]);
        }
        fclose($stream);
    }
}
