<?php
// A background worker that does with each task what the task says.
require __DIR__ . '/../shared.php';

$name = $_SERVER['FRANKENPHP_WORKER_NAME'];
note('boots', $name);
$signals = frankenphp_worker_get_signaling_stream();
frankenphp_worker_set_vars(['ready' => true]);

/** Waits until the sender has given the task up, and notes what its streams and functions say then. */
function until_given_up($stream): void
{
    $read = [$stream];
    $none = null;
    stream_select($read, $none, $none, 20);
    note('given up', json_encode(['readable' => count($read), 'eof' => feof($stream)]));
    try {
        frankenphp_worker_task_update($stream, []);
    } catch (RuntimeException $e) {
        note('given up', $e->getMessage());
    }
}

function work(array $task): void
{
    [$stream, $payload] = $task;
    note('received', $payload['do']);
    switch ($payload['do']) {
        case 'echo':
            frankenphp_worker_task_update($stream, $payload);
            break;
        case 'count':
            for ($i = 1; $i <= $payload['to']; $i++) {
                frankenphp_worker_task_update($stream, ['n' => $i]);
            }
            break;
        case 'nothing':
            break;
        case 'until given up':
            frankenphp_worker_task_update($stream, ['at' => 'work']);
            until_given_up($stream);
            return;
        case 'wait':
            frankenphp_worker_task_update($stream, ['at' => 'work']);
            await($payload['for']);
            frankenphp_worker_task_update($stream, ['at' => 'the end']);
            break;
        case 'never':
            frankenphp_worker_task_update($stream, ['at' => 'work']);
            for (;;);
        case 'hold three':
            // Three tasks in hand at once, all lost by one exit.
            $held = [$task];
            while (count($held) < 3) {
                fgets($GLOBALS['signals']);
                while ($next = frankenphp_worker_task_receive()) {
                    $held[] = $next;
                }
            }
            foreach ($held as [$each, $payload]) {
                frankenphp_worker_task_update($each, ['said' => $payload['name']]);
            }
            exit;
        case 'throw':
            frankenphp_worker_task_update($stream, ['said' => 'before']);
            throw new LogicException('with the stream in a local variable');
        case 'drop':
            return;
        case 'exit':
            exit;
        case 'fatal':
            nowhere();
        case 'memory':
            ini_set('memory_limit', '8M');
            str_repeat('x', 64 << 20);
        case 'pass on':
            // A background worker is a sender like any other.
            $other = frankenphp_worker_task_send($payload['to'], ['do' => 'echo', 'from' => $GLOBALS['name']]);
            while ($update = frankenphp_worker_task_read($other)) {
                frankenphp_worker_task_update($stream, $update);
            }
            break;
        case 'send to yourself':
            try {
                frankenphp_worker_task_send($GLOBALS['name'], []);
            } catch (RuntimeException $e) {
                frankenphp_worker_task_update($stream, ['refused' => $e->getMessage()]);
            }
            break;
        case 'confuse the sides':
            try {
                frankenphp_worker_task_read($stream);
            } catch (ValueError $e) {
                frankenphp_worker_task_update($stream, ['refused' => $e->getMessage()]);
            }
            break;
    }
    fclose($stream);
}

while (($signal = fgets($signals)) !== false && $signal !== "stop\n") {
    while ($task = frankenphp_worker_task_receive()) {
        work($task);
        unset($task);
    }
}
note('stops', $name);
