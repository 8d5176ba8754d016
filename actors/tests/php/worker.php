<?php
// Boots once; what a request asks for is in its query.
$served = 0;
$serve = function () use (&$served) {
    $served++;
    switch ($_GET['do'] ?? '') {
        case 'exit': echo 'bye'; exit;
        case 'status': exit(3);
        case 'throw': throw new RuntimeException('as asked');
        case 'memory': str_repeat('x', 1 << 30);
        case 'loop': while (true);
        case 'sleep': sleep(600);
    }
    echo 'served ', $_GET['n'] ?? '';
};
while (frankenphp_handle_request($serve));
