<?php
// Publishes without a pause, snapshots of every size, until it is told to stop; now and then it dies by itself.
require __DIR__ . '/suits.php';

$signals = frankenphp_worker_get_signaling_stream();
$none = null;
for ($n = 0; ; $n++) {
    $letter = chr(97 + $n % 26);
    $pads = [];
    for ($i = random_int(0, 20); $i > 0; $i--) {
        $pads["$letter$i"] = str_repeat($letter, random_int(0, 2000));
    }
    frankenphp_worker_set_vars([
        'letter' => $letter, 'pads' => $pads, 'length' => array_sum(array_map('strlen', $pads)),
        'case' => $n % 2 ? Suit::Hearts : null, 'nested' => [[$letter => [$n]]],
    ]);
    if (random_int(0, 2000) === 0) {
        throw new LogicException('it happens');
    }
    $read = [$signals];
    if (stream_select($read, $none, $none, 0, random_int(0, 500)) && fgets($signals) !== "task\n") {
        exit;
    }
}
