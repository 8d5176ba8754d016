#!/usr/bin/env php
<?php
// What this background worker does is its name.
enum Suit: string { case Hearts = 'h'; case Spades = 's'; }

switch ($_SERVER['FRANKENPHP_WORKER_NAME']) {
    case 'config':
        frankenphp_worker_set_vars([
            'n' => 1, 'pi' => 3.5, 'bytes' => "a\0b", 'on' => true, 'none' => null, 'list' => [1, [2, []]],
            'argv' => $_SERVER['argv'], 'background' => $_SERVER['FRANKENPHP_WORKER_BACKGROUND'],
        ]);
        break;
    case 'enum':
        frankenphp_worker_set_vars(['suit' => Suit::Spades]);
        break;
    case 'bad':
        $results = [];
        $r = 1;
        foreach ([['a' => ['b' => new stdClass]], [fopen('php://memory', 'r')], ['x' => &$r, 'y' => &$r]] as $vars) {
            try {
                frankenphp_worker_set_vars($vars);
                $results[] = 'accepted';
            } catch (ValueError $e) {
                $results[] = $e->getMessage();
            }
        }
        frankenphp_worker_set_vars(['results' => $results]);
        break;
    case 'objects':
        $worker = new FrankenPHP\WorkerHandle();
        $worker->setVars(['ready' => $worker->tick()]);
        $stream = $worker->getStream();
        while ($worker->tick()) {
            $read = [$stream];
            $none = null;
            stream_select($read, $none, $none, null);
            $worker->tick();
            while ($task = $worker->receive()) {
                if ($task->getPayload()['leave open'] ?? false) {
                    unset($task);
                    continue;
                }
                $task->update(['step' => 1]);
                $task->complete(['step' => 'last']);
            }
        }
        exit;
    case 'stops':
        frankenphp_worker_set_vars([]);
        $stop = frankenphp_get_worker_handle();
        $read = [$stop];
        $none = null;
        stream_select($read, $none, $none, null);
        exit(feof($stop) ? 7 : 8);
    case 'aborts':
        $signals = frankenphp_worker_get_signaling_stream();
        fgets($signals);
        [$one, $first] = frankenphp_worker_task_receive();
        frankenphp_worker_task_update($one, ['said' => 'before the end']);
        throw new RuntimeException('the worker dies with the task in hand');
}

$signals = frankenphp_worker_get_signaling_stream();
while (($line = fgets($signals)) === "task\n") {
    while ($task = frankenphp_worker_task_receive()) {
        [$stream, $payload] = $task;
        for ($i = 1; $i <= ($payload['updates'] ?? 1); $i++) {
            frankenphp_worker_task_update($stream, ['step' => $i, 'echo' => $payload['text'] ?? null]);
        }
        if ($payload['wait'] ?? false) {
            $read = [$stream];
            $none = null;
            stream_select($read, $none, $none, 10);
            frankenphp_worker_set_vars(['cancelled' => feof($stream)]);
        }
        fclose($stream);
    }
}
frankenphp_worker_set_vars(['left by' => $line]);
