<?php
// One of a crew: each task waits until the test lets it go, and tells who worked on it.
require __DIR__ . '/../shared.php';

$me = bin2hex(random_bytes(4));
note('came', $me);
$signals = frankenphp_worker_get_signaling_stream();
while (fgets($signals) === "task\n") {
    while ($task = frankenphp_worker_task_receive()) {
        [$stream, $payload] = $task;
        note('began', $me);
        await($payload['until']);
        frankenphp_worker_task_update($stream, ['by' => $me]);
        fclose($stream);
    }
}
note('left', $me);
