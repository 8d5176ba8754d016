<?php
// A sender: `way` says how its round trips go, `pool` which pool answers, `size` how much travels.
require __DIR__ . '/../clock.php';

$text = str_repeat('x', (int) $_GET['size']);
$pool = $_GET['pool'];
$updates = (int) ($_GET['updates'] ?? 1);

if ($_GET['way'] === 'tasks') {
    $trip = function () use ($pool, $text, $updates) {
        $task = frankenphp_worker_task_send($pool, ['text' => $text, 'updates' => $updates]);
        while (($update = frankenphp_worker_task_read($task)) !== null) {
            $got = $update['text'];
        }
        fclose($task);
        check($text, $got);
    };
} else {
    $request = curl_init("http://{$_SERVER['HTTP_HOST']}/pool$pool.php");
    curl_setopt_array($request, [
        CURLOPT_RETURNTRANSFER => true,
        CURLOPT_POSTFIELDS => $text,
        CURLOPT_HTTPHEADER => ['Content-Type: application/octet-stream', 'Expect:'],
    ]);
    $trip = fn () => check($text, curl_exec($request));
}
header('Content-Type: application/json');
echo json_encode(measure((float) $_GET['seconds'], $trip));
