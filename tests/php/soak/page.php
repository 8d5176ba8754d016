<?php
// Sends tasks of all kinds, checks that each answer is its own, and tells how many ended in which way.
require __DIR__ . '/../shared.php';

/** How it ended: read to its completion, read to its abortion, or closed early. */
function follow($task, array $payload, ?int $reads): string
{
    for ($n = 1; $reads === null || $n <= $reads; $n++) {
        if (random_int(0, 20) === 0) {
            usleep(random_int(0, 2000));
        }
        try {
            $update = frankenphp_worker_task_read($task);
        } catch (RuntimeException $e) {
            if (!str_starts_with($e->getMessage(), 'background worker exited without completing the task')) {
                throw $e;
            }
            if ($n > $payload['updates'] + 1) {
                throw new LogicException("more updates than there are: $n");
            }
            return 'aborted';
        }
        if ($update === null) {
            if ($n !== $payload['updates'] + 1 || $payload['dies at'] > 0) {
                throw new LogicException("completed after $n reads: " . json_encode(['text' => null] + $payload));
            }
            return 'completed';
        }
        if ($update !== ['id' => $payload['id'], 'n' => $n, 'text' => $payload['text']]) {
            throw new LogicException("update $n of {$payload['id']} is another's: {$update['n']} of {$update['id']}");
        }
    }
    return 'closed';
}

/** With several tasks open, none may make its worker wait: it might wait for the one that is being read. */
function payload(string $id, bool $alone): array
{
    $size = [0, 10, 1000, 100_000, 1_000_000][min(4, random_int(0, 5) * random_int(0, 2) >> 1)];
    $updates = $size > 1000 ? random_int(0, 3) : random_int(0, $alone ? 40 : 16);
    $dies = $updates > 0 && random_int(0, 14) === 0;
    return [
        'id' => $id,
        'text' => str_repeat($id[-1], $size),
        'updates' => $updates,
        'slow' => random_int(0, 9) === 0,
        'dies at' => $dies ? random_int(1, $updates) : 0,
        'by' => ['exit', 'throw', 'fatal', 'drop'][random_int(0, 3)],
    ];
}

$ends = ['sent' => 0, 'completed' => 0, 'aborted' => 0, 'closed' => 0];
for ($i = 0; $i < 10; $i++) {
    // Some one by one, some side by side.
    $tasks = $payloads = [];
    $many = random_int(1, 3);
    for ($j = $many; $j > 0; $j--) {
        $payloads[$j] = payload("{$_GET['sender']}-$i-$j-" . random_int(0, 9), $many === 1);
        $tasks[$j] = frankenphp_worker_task_send('worker', $payloads[$j], 60.0);
        $ends['sent']++;
    }
    while ($tasks) {
        $read = $tasks;
        $none = null;
        if (random_int(0, 1)) {
            stream_select($read, $none, $none, 60);
        }
        $j = array_key_first($read);
        $gives_up = random_int(0, 4) === 0;
        $ends[follow($tasks[$j], $payloads[$j], $gives_up ? random_int(0, 5) : null)]++;
        unset($tasks[$j]);
    }
}
reply($ends);
