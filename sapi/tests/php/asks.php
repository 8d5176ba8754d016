<?php
// A request that talks to background workers; what it does is `do`.
enum Suit: string { case Hearts = 'h'; case Spades = 's'; }

function ask(): mixed
{
    switch ($_GET['do']) {
        case 'vars':
            return frankenphp_worker_get_vars('config');
        case 'same':
            $one = frankenphp_worker_get_vars('config');
            $one['n'] = 2;
            return [$one['n'], frankenphp_worker_get_vars('config')['n'], count(frankenphp_worker_get_vars(['config', 'enum']))];
        case 'enum':
            return frankenphp_worker_get_vars('enum')['suit'] === Suit::Spades;
        case 'bad':
            return frankenphp_worker_get_vars('bad')['results'];
        case 'errors':
            $calls = [
                fn() => frankenphp_worker_get_vars('nobody'),
                fn() => frankenphp_worker_get_vars(''),
                fn() => frankenphp_worker_get_vars('config', -1),
                fn() => frankenphp_worker_get_vars('silent', 0.01),
                fn() => frankenphp_worker_set_vars([]),
                fn() => frankenphp_worker_task_receive(),
                fn() => frankenphp_worker_task_read(fopen('php://memory', 'r')),
                fn() => frankenphp_handle_request(fn() => 1),
            ];
            return array_map(function ($call) {
                try {
                    $call();
                    return 'no error';
                } catch (Throwable $e) {
                    return get_class($e) . ': ' . $e->getMessage();
                }
            }, $calls);
        case 'task':
            $stream = frankenphp_worker_task_send('echo', ['text' => "x\0y", 'updates' => 20]);
            $line = fgets($stream);
            $steps = [];
            while ($update = frankenphp_worker_task_read($stream)) {
                $steps[] = $update['step'];
            }
            return [$line, $update, $steps, feof($stream)];
        case 'select':
            $streams = [frankenphp_worker_task_send('echo', ['text' => 'a']), frankenphp_worker_task_send('echo', ['text' => 'b'])];
            $heard = [];
            while ($streams) {
                $read = $streams;
                $none = null;
                stream_select($read, $none, $none, 10);
                foreach ($read as $key => $stream) {
                    $update = frankenphp_worker_task_read($stream);
                    if ($update === null) {
                        unset($streams[$key]);
                    } else {
                        $heard[] = $update['echo'];
                    }
                }
            }
            sort($heard);
            return $heard;
        case 'nonblocking':
            $stream = frankenphp_worker_task_send('echo', ['wait' => true, 'updates' => 0]);
            stream_set_blocking($stream, false);
            try {
                frankenphp_worker_task_read($stream);
            } catch (RuntimeException $e) {
                return $e->getMessage();
            } finally {
                fclose($stream);
            }
        case 'objects':
            $ready = frankenphp_get_vars('objects')['ready'];
            $task = new FrankenPHP\SentTaskHandle('objects', []);
            $heard = [$ready, $task->read()['step'], $task->read()['step'], $task->read()];
            $mixed = frankenphp_worker_task_send('objects', []);
            $heard[] = frankenphp_worker_task_read($mixed)['step'];
            $open = new FrankenPHP\SentTaskHandle('objects', ['leave open' => true]);
            foreach ([fn() => $open->read(), fn() => clone $open, fn() => serialize($open), fn() => new FrankenPHP\WorkerHandle(),
                      fn() => [$open->abandon(), $open->read()]] as $call) {
                try {
                    $heard[] = $call();
                } catch (Throwable $e) {
                    $heard[] = $e->getMessage();
                }
            }
            return $heard;
        case 'stops':
            return frankenphp_worker_get_vars('stops');
        case 'aborted':
            $stream = frankenphp_worker_task_send('aborts', []);
            $update = frankenphp_worker_task_read($stream);
            try {
                frankenphp_worker_task_read($stream);
            } catch (RuntimeException $e) {
                return [$update['said'], $e->getMessage()];
            }
    }
    return 'unknown';
}

echo json_encode(ask());
