<?php
// Sends a crew tasks, all before the first is read, and tells who did them.
require __DIR__ . '/../shared.php';

try {
    $tasks = [];
    for ($i = 0; $i < (int) $_GET['tasks']; $i++) {
        $tasks[] = frankenphp_worker_task_send('crew', ['until' => $_GET['until']]);
    }
    $by = [];
    foreach ($tasks as $task) {
        while (($update = frankenphp_worker_task_read($task)) !== null) {
            $by[] = $update['by'];
        }
    }
    reply($by);
} catch (RuntimeException $e) {
    reply($e->getMessage());
}
