<?php
// The same by lists of Redis: php redis.php worker SOCKET, or php redis.php sender SOCKET NUMBER SECONDS SIZE.
require __DIR__ . '/clock.php';

[, $role, $socket] = $argv;
$redis = new Redis();
$redis->connect($socket);
$redis->setOption(Redis::OPT_READ_TIMEOUT, -1);

if ($role === 'worker') {
    for (;;) {
        [, $job] = $redis->blPop('jobs', 0);
        [$from, $text] = explode(' ', $job, 2);
        $redis->rPush("to $from", $text);
    }
}

[, , , $number, $seconds, $size] = $argv;
$text = str_repeat('x', (int) $size);
echo json_encode(measure((float) $seconds, function () use ($redis, $number, $text) {
    $redis->rPush('jobs', "$number $text");
    check($text, $redis->blPop("to $number", 0)[1]);
}));
