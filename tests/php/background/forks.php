<?php
// Starts processes, and tells what came of them.
require __DIR__ . '/../shared.php';

/** What a program prints, and its exit status. */
function program(array|string $command): array
{
    $process = proc_open($command, [1 => ['pipe', 'w']], $pipes);
    $text = stream_get_contents($pipes[1]);
    fclose($pipes[1]);
    return [trim($text), proc_close($process)];
}

/** The exit status of a child that runs `work`. */
function child(callable $work): int
{
    $pid = pcntl_fork();
    if ($pid === 0) {
        $work();
    }
    pcntl_waitpid($pid, $status);
    return pcntl_wifexited($status) ? pcntl_wexitstatus($status) : -pcntl_wtermsig($status);
}

$signals = frankenphp_worker_get_signaling_stream();
$pid = getmypid();
frankenphp_worker_set_vars([
    'echo' => program(['echo', 'hello']),
    'shell' => program('exit 3'),
    'exec' => exec('echo again'),
    'exit' => child(fn () => exit(7)),
    'end' => child(function () use ($pid) {
        note('child', getmypid() === $pid ? 'the same' : 'another');
        exit(0);
    }),
    'uses the server' => child(function () {
        try {
            frankenphp_worker_set_vars(['from' => 'the child']);
        } catch (Throwable) {
        }
        exit(4);
    }),
    'throws' => child(fn () => throw new LogicException('in the child')),
    'killed' => child(function () {
        posix_kill(getmypid(), SIGKILL);
        sleep(60);
    }),
]);
while (fgets($signals) === "task\n");
