<?php
$count = 0;
$handle = function () use (&$count) {
    $count++;
    switch ($_GET['do'] ?? '') {
        case 'exit': echo 'bye'; exit;
        case 'throw': throw new RuntimeException('oh');
        case 'loop': while (true);
        case 'read': echo basename(readlink('/proc/thread-self')); flush(); fread(fsockopen('127.0.0.1', $_GET['port']), 1);
        case 'limited_sleep': set_time_limit(1); sleep(600); echo 'after'; return;
        case 'sleep_a_while': usleep(1_200_000); echo 'slept'; return;
    }
    echo "request $count of ", $_SERVER['FRANKENPHP_WORKER_NAME'], ' ', $_SERVER['QUERY_STRING'];
};
while (frankenphp_handle_request($handle));
