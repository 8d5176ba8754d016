<?php
// Works on tasks, and dies in the ways that they ask for, with others in hand.
require __DIR__ . '/../shared.php';

function work($stream, array $payload): void
{
    for ($i = 1; $i <= $payload['updates']; $i++) {
        if ($payload['slow']) {
            usleep(random_int(0, 300));
        }
        frankenphp_worker_task_update($stream, ['id' => $payload['id'], 'n' => $i, 'text' => $payload['text']]);
        if ($payload['dies at'] === $i) {
            match ($payload['by']) {
                'exit' => exit,
                'throw' => throw new LogicException('as the soak wants it'),
                'fatal' => nowhere(),
                'drop' => null,
            };
            return;
        }
    }
    fclose($stream);
}

$signals = frankenphp_worker_get_signaling_stream();
while (($signal = fgets($signals)) !== false && $signal !== "stop\n") {
    // Up to three in hand at once.
    do {
        $held = [];
        while (count($held) < 3 && ($task = frankenphp_worker_task_receive())) {
            $held[] = $task;
        }
        foreach ($held as $i => [$stream, $payload]) {
            try {
                work($stream, $payload);
            } catch (RuntimeException) {
                // The sender has given it up.
                fclose($stream);
            }
            unset($held[$i], $stream);
        }
    } while ($task !== null);
}
