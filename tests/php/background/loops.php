<?php
// Hears its signals in the way of its name, and publishes what it heard: "task\n" for a task, "stop\n", the end.
require __DIR__ . '/../shared.php';

/** An event loop of the kind that watches raw descriptors: readable, and then a read that must not block. */
final class Loop
{
    private array $watched = [];
    private bool $runs = true;

    public function onReadable($stream, callable $callback): void
    {
        stream_set_blocking($stream, false);
        stream_set_read_buffer($stream, 0);
        $this->watched[(int) $stream] = [$stream, $callback];
    }

    public function cancel($stream): void
    {
        unset($this->watched[(int) $stream]);
    }

    public function stop(): void
    {
        $this->runs = false;
    }

    public function run(): void
    {
        while ($this->runs && $this->watched) {
            $read = array_column($this->watched, 0);
            $none = null;
            if (stream_select($read, $none, $none, null) === false) {
                return;
            }
            foreach ($read as $stream) {
                ($this->watched[(int) $stream][1])($stream);
            }
        }
    }
}

$heard = [];
$hear = function (string|false $line) use (&$heard): bool {
    $heard[] = $line;
    note('heard-' . $_SERVER['FRANKENPHP_WORKER_NAME'], json_encode($line));
    while ($task = frankenphp_worker_task_receive()) {
        fclose($task[0]);
    }
    return $line === "task\n";
};
$way = $_SERVER['FRANKENPHP_WORKER_NAME'];
$signals = frankenphp_worker_get_signaling_stream();
$none = null;
$vars = [
    'type' => get_resource_type($signals),
    'meta' => array_intersect_key(stream_get_meta_data($signals), ['blocked' => 1, 'eof' => 1, 'timed_out' => 1, 'mode' => 1]),
    'descriptors' => count(scandir('/proc/self/fd')),
];
// Before anybody can send a task.
switch ($way) {
    case 'non_blocking':
        stream_set_blocking($signals, false);
        note('first', json_encode([fgets($signals), feof($signals), stream_get_meta_data($signals)['blocked']]));
        break;
    case 'timeout':
        stream_set_timeout($signals, 0, 1000);
        $first = fgets($signals);
        note('timed_out', json_encode([$first, stream_get_meta_data($signals)['timed_out'], feof($signals)]));
        stream_set_timeout($signals, 3600);
        break;
}
frankenphp_worker_set_vars($vars);
switch ($way) {
    case 'fgets':
    case 'timeout':
        while ($hear(fgets($signals)));
        break;
    case 'get_line':
        while ($hear(stream_get_line($signals, 100, "\n") . "\n"));
        break;
    case 'select':
        do {
            $read = [$signals];
            stream_select($read, $none, $none, null);
        } while ($hear(fgets($signals)));
        break;
    case 'non_blocking':
        do {
            while (($line = fgets($signals)) === false && !feof($signals)) {
                usleep(1000);
            }
        } while ($hear($line));
        break;
    case 'event_loop':
        $loop = new Loop();
        [$here, $there] = stream_socket_pair(STREAM_PF_UNIX, STREAM_SOCK_STREAM, 0);
        $loop->onReadable($here, function ($stream) {
            note('other', fread($stream, 100));
        });
        $loop->onReadable($signals, function ($stream) use ($loop, $hear, $here, $there) {
            fwrite($there, 'ping');
            if (!$hear(fgets($stream))) {
                $loop->cancel($here);
                $loop->stop();
            }
        });
        $loop->run();
        break;
    case 'end': // after "stop\n" the stream ends
        while ($hear(fgets($signals)));
        $hear(fgets($signals));
        note('end', json_encode(feof($signals)));
        break;
    case 'two': // two streams of one worker share its signals; the first to read has it
        $second = frankenphp_worker_get_signaling_stream();
        while ($hear(fgets(count($heard) % 2 ? $second : $signals)));
        break;
    case 'handle':
        $stop = frankenphp_get_worker_handle();
        $read = [$stop];
        stream_select($read, $none, $none, null);
        note('heard-handle', json_encode([fgets($stop), feof($stop)]));
        break;
    case 'crash': // dies without having closed it
        fgets($signals);
        $task = frankenphp_worker_task_receive();
        throw new LogicException('with its stream open');
}
note("left-$way");
