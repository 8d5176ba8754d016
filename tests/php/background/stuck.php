<?php
// Publishes which life of the worker this is, then does what its name says and hears of nothing.
require __DIR__ . '/../shared.php';

$way = $_SERVER['FRANKENPHP_WORKER_NAME'];
note("lives-$way");
$signals = frankenphp_worker_get_signaling_stream();
frankenphp_worker_set_vars(['life' => substr_count(file_get_contents(scratch("lives-$way")), "\n")]);
[$here, $there] = stream_socket_pair(STREAM_PF_UNIX, STREAM_SOCK_STREAM, 0);
switch ($way) {
    case 'sleep':
        sleep(3600);
        break;
    case 'select':
        $read = [$here];
        $none = null;
        stream_select($read, $none, $none, null);
        break;
    case 'read':
        fread($here, 1);
        break;
    case 'loop':
        for (;;);
    case 'polite':
        while (fgets($signals) === "task\n");
        note('polite', 'left by itself');
        exit;
}
note('strays', "$way came to its end");
