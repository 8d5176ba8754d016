<?php
require __DIR__ . '/../shared.php';
$name = $_GET['name'] ?? 'counter';
try {
    if ($_GET['do'] === 'vars') {
        reply(frankenphp_worker_get_vars($name));
        return;
    }
    $task = frankenphp_worker_task_send($name, [
        'updates' => (int) ($_GET['updates'] ?? 0),
        'end' => $_GET['end'] ?? 'complete',
    ]);
    $updates = [];
    try {
        while (($update = frankenphp_worker_task_read($task)) !== null) {
            $updates[] = $update['update'];
        }
        reply(['updates' => $updates, 'error' => null]);
    } catch (RuntimeException $e) {
        reply(['updates' => $updates, 'error' => $e->getMessage()]);
    }
} catch (RuntimeException $e) {
    reply(['refused' => $e->getMessage()]);
}
