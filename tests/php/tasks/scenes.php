<?php
// What senders of tasks do, by the query's `do`.
require_once __DIR__ . '/../shared.php';

function send(array $payload, string $worker = 'worker')
{
    return frankenphp_worker_task_send($worker, $payload);
}

/** Every update, and how the task ended: null for its completion. */
function outcome($task): array
{
    $updates = [];
    try {
        while (($update = frankenphp_worker_task_read($task)) !== null) {
            $updates[] = $update;
        }
        return ['updates' => $updates, 'error' => null];
    } catch (RuntimeException $e) {
        return ['updates' => $updates, 'error' => $e->getMessage()];
    }
}

function refusal(callable $call): string
{
    try {
        $call();
        return 'nothing was refused';
    } catch (RuntimeException | ValueError $e) {
        return get_class($e) . ': ' . $e->getMessage();
    }
}

function play(): void
{
    try {
        reply(scene($_GET['do']));
    } catch (RuntimeException $e) {
        reply(['refused' => $e->getMessage()]);
    }
}

function scene(string $what): mixed
{
    $none = null;
    switch ($what) {
        case 'task':
            return outcome(send(json_decode($_GET['payload'], true), $_GET['worker'] ?? 'worker'));
        case 'two':
            // The first is taken, the second waits in the queue.
            $first = send(json_decode($_GET['first'], true));
            frankenphp_worker_task_read($first);
            $second = send(json_decode($_GET['second'], true));
            note('both sent');
            return [outcome($first), outcome($second)];
        case 'left':
            // The client leaves while the script waits for its task.
            if (isset($_GET['ignore'])) {
                ignore_user_abort(true);
            }
            if (isset($_GET['finish'])) {
                echo 'all there is';
                frankenphp_finish_request();
            }
            if (isset($_GET['begin'])) {
                echo 'begun';
                flush();
            }
            $task = send(['do' => $_GET['task'], 'for' => 'go on']);
            frankenphp_worker_task_read($task);
            note('at work');
            if (isset($_GET['ignore'])) {
                until_the_client_has_left();
            }
            note('left', json_encode(outcome($task)['error']));
            return null;
        case 'answered':
            // The client has its answer; the script goes on with a task at work and one in the queue.
            $tasks = [send(['do' => 'wait', 'for' => 'go on'])];
            frankenphp_worker_task_read($tasks[0]);
            $tasks[] = send(['do' => 'nothing']);
            echo 'answered';
            frankenphp_finish_request();
            note('second', json_encode(outcome($tasks[1])['error']));
            note('first', json_encode(outcome($tasks[0])['error']));
            return null;
        case 'three':
            $tasks = [];
            foreach (['a', 'b', 'c'] as $name) {
                $tasks[] = send(['do' => 'hold three', 'name' => $name]);
            }
            return array_map('outcome', $tasks);
        case 'big':
            $text = random_bytes(1 << 20);
            $big = str_repeat($text, 40);
            $task = send(['do' => 'echo', 'big' => $big]);
            $update = frankenphp_worker_task_read($task);
            return ['same' => $update['big'] === $big, 'then' => frankenphp_worker_task_read($task)];
        case 'empty':
            return [outcome(send(['do' => 'echo', 'list' => [], 'text' => '']))];
        case 'nonblocking':
            $task = send(['do' => 'wait', 'for' => 'go on']);
            stream_set_blocking($task, false);
            $early = [];
            while (($update = nothing_or($task)) === 'no update yet') {
                $early[$update] = true;
                $read = [$task];
                stream_select($read, $none, $none, 20);
            }
            $again = nothing_or($task);
            note('go on');
            stream_set_blocking($task, true);
            return [$update, $again, outcome($task), stream_get_meta_data($task)['blocked']];
        case 'timeout':
            $task = send(['do' => 'wait', 'for' => 'go on']);
            frankenphp_worker_task_read($task);
            stream_set_timeout($task, 0, 20000);
            $late = refusal(fn () => frankenphp_worker_task_read($task));
            $told = stream_get_meta_data($task)['timed_out'];
            $line = fgets($task);
            note('go on');
            stream_set_timeout($task, 20);
            return [$late, $told, $line, outcome($task)];
        case 'wrong streams':
            $task = send(['do' => 'nothing']);
            $file = fopen('php://memory', 'r');
            $closed = send(['do' => 'nothing']);
            fclose($closed);
            $sides = outcome(send(['do' => 'confuse the sides']))['updates'][0]['refused'];
            return [
                refusal(fn () => frankenphp_worker_task_read($file)),
                refusal(fn () => frankenphp_worker_task_read($closed)),
                refusal(fn () => frankenphp_worker_task_update($task, [])),
                $sides,
                get_resource_type($task),
                refusal(fn () => frankenphp_worker_task_send('', [])),
            ];
        case 'fgets first':
            $task = send(['do' => 'count', 'to' => 3]);
            $lines = [fgets($task), fgets($task)];
            return [$lines, outcome($task), fgets($task), feof($task)];
        case 'select':
            return select_many();
        case 'held up':
            // More updates than may be unread: the worker waits, and is killed there.
            $task = send(['do' => 'count', 'to' => 17 + 1]);
            frankenphp_worker_task_read($task);
            note('held up');
            await('killed ' . $_GET['round']);
            return outcome($task)['error'];
        case 'objects':
            $sent = new FrankenPHP\SentTaskHandle('worker', ['do' => 'count', 'to' => 2]);
            $updates = [];
            while ($update = $sent->read()) {
                $updates[] = $update['n'];
            }
            return $updates;
        case 'full':
            $tasks = [send(['do' => 'wait', 'for' => 'go on'])];
            frankenphp_worker_task_read($tasks[0]);
            $tasks[] = send(['do' => 'nothing']);
            $late = refusal(fn () => frankenphp_worker_task_send('worker', ['do' => 'nothing'], 0.02));
            note('go on');
            return [$late, array_map(fn ($task) => outcome($task)['error'], $tasks)];
    }
}

function until_the_client_has_left(): void
{
    $limit = microtime(true) + 30;
    while (!connection_aborted() && microtime(true) < $limit) {
        echo ' ';
        flush();
        usleep(2000);
    }
    note('gone', json_encode(connection_aborted()));
}

function nothing_or($task): mixed
{
    try {
        return frankenphp_worker_task_read($task);
    } catch (RuntimeException $e) {
        return $e->getMessage();
    }
}

/** Tasks and sockets in one stream_select(), until all have said what they have to say. */
function select_many(): array
{
    $none = null;
    $watched = $said = [];
    for ($i = 0; $i < 8; $i++) {
        $watched["task $i"] = send(['do' => 'echo', 'n' => $i]);
        [$watched["socket $i"], $other] = stream_socket_pair(STREAM_PF_UNIX, STREAM_SOCK_STREAM, 0);
        fwrite($other, "$i\n");
        fclose($other);
    }
    while ($watched) {
        $read = $watched;
        if (!stream_select($read, $none, $none, 20)) {
            return ['nothing is readable, but not all is said' => array_keys($watched)];
        }
        foreach ($read as $name => $stream) {
            $text = $name[0] === 't' ? frankenphp_worker_task_read($stream)['n'] ?? null : fgets($stream);
            if ($text === null || $text === false) {
                fclose($stream);
                unset($watched[$name]);
            } else {
                $said[$name] = (int) $text;
            }
        }
    }
    ksort($said);
    return $said;
}
