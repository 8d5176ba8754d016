<?php
// Calls that don't return by themselves.
require __DIR__ . '/../shared.php';
note('begun');
match ($_GET['in']) {
    'loop' => (function () {
        while (true);
    })(),
    'sleep' => sleep(600),
    'read' => (function () {
        [$mine, $other] = stream_socket_pair(STREAM_PF_UNIX, STREAM_SOCK_STREAM, 0);
        fread($mine, 1);
    })(),
    'select' => (function () {
        [$mine, $other] = stream_socket_pair(STREAM_PF_UNIX, STREAM_SOCK_STREAM, 0);
        $read = [$mine];
        $none = null;
        stream_select($read, $none, $none, null);
    })(),
    'lock' => (function () {
        $held = fopen(scratch('lock'), 'c');
        flock($held, LOCK_EX);
        flock(fopen(scratch('lock'), 'c'), LOCK_EX);
    })(),
    'process' => shell_exec('sleep 600'),
    'shutdown' => (function () {
        register_shutdown_function(function () {
            while (true);
        });
    })(),
};
