<?php
$count = 0;
$handle = function () use (&$count) {
    $count++;
    switch ($_GET['do'] ?? '') {
        case 'exit': echo 'bye'; exit;
        case 'throw': throw new RuntimeException('oh');
        case 'loop': while (true);
    }
    echo "request $count of ", $_SERVER['FRANKENPHP_WORKER_NAME'], ' ', $_SERVER['QUERY_STRING'];
};
while (frankenphp_handle_request($handle));
