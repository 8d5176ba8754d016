<?php
// Each case prints what it saw as JSON. `high` opens pairs beyond the 1,024 descriptors that select(2) knows.
function pair(): array
{
    return stream_socket_pair(STREAM_PF_UNIX, STREAM_SOCK_STREAM, 0);
}

function thrown(callable $call): string
{
    try {
        $call();
        return 'nothing';
    } catch (Throwable $error) {
        return get_class($error) . ': ' . $error->getMessage();
    }
}

$keep = [];
if (isset($_GET['high'])) {
    while (count($keep) < 1100) {
        $keep[] = fopen('/dev/null', 'r');
    }
}
$out = [];
switch ($_GET['do']) {
    case 'streams':
        [$a, $b] = pair();
        [$c, $d] = pair();
        fwrite($a, 'x');
        $read = ['silent' => $d, 'b' => $b, 7 => $b];
        $write = [5 => $a];
        $except = [$b];
        $out['count'] = stream_select($read, $write, $except, 0);
        $out['keys'] = [array_keys($read), array_keys($write), array_keys($except)];
        $read = [$d];
        $none = null;
        $out['nothing'] = [stream_select($read, $none, $none, 0, 1000), $read];
        fclose($c);
        $read = [$d];
        $out['closed by the peer'] = [stream_select($read, $none, $none, null), count($read)];
        break;
    case 'buffered':
        [$a, $b] = pair();
        fwrite($a, "one\ntwo\n");
        fgets($b);
        $read = ['b' => $b, 'a' => $a];
        $write = [$a];
        $except = null;
        $out = [stream_select($read, $write, $except, 30), array_keys($read), $write];
        break;
    case 'errors':
        [$a] = pair();
        $select = function ($read, $seconds, ...$rest) {
            $none = null;
            return stream_select($read, $none, $none, $seconds, ...$rest);
        };
        $out[] = thrown(fn() => $select(null, 1));
        $out[] = thrown(fn() => $select([], 1));
        $out[] = thrown(fn() => $select([$a], -1));
        $out[] = thrown(fn() => $select([$a], 0, -1));
        $out[] = thrown(fn() => $select([$a], null, 5));
        $out[] = thrown(fn() => $select([1], 1));
        break;
    case 'references':
        [$a, $b] = pair();
        fwrite($a, 'x');
        $reference = &$b;
        $read = ['k' => &$reference];
        $copy = $read;
        $none = null;
        $out = [stream_select($read, $none, $none, 0), array_keys($read), count($copy), fread($read['k'], 1)];
        break;
    case 'sockets':
        socket_create_pair(AF_UNIX, SOCK_STREAM, 0, $pair);
        socket_create_pair(AF_UNIX, SOCK_STREAM, 0, $other);
        socket_write($pair[0], 'x');
        $read = ['silent' => $other[1], 'b' => $pair[1]];
        $write = [9 => $pair[0]];
        $except = null;
        $out['count'] = socket_select($read, $write, $except, 0);
        $out['keys'] = [array_keys($read), array_keys($write)];
        $read = [$other[1]];
        $none = null;
        $out['nothing'] = [socket_select($read, $none, $none, 0, 1000), $read];
        $bad = [1];
        $out['errors'][] = thrown(function () use ($bad) {
            $none = null;
            socket_select($bad, $none, $none, 0);
        });
        $closed = $other[1];
        socket_close($closed);
        $out['errors'][] = thrown(function () use ($closed) {
            $read = [$closed];
            $none = null;
            socket_select($read, $none, $none, 0);
        });
        $out['errors'][] = thrown(function () {
            $none = null;
            socket_select($none, $none, $none, 0);
        });
        break;
    case 'hang-up':
        // Nothing exceptional about a peer that leaves: the wait goes on, for its whole time.
        [$a, $b] = pair();
        fclose($a);
        $none = null;
        $except = [$b];
        $before = hrtime(true);
        $count = stream_select($none, $none, $except, 0, 20_000);
        $out = [$count, hrtime(true) - $before >= 20_000_000];
        break;
}
echo json_encode($out);
