<?php
set_time_limit(1);
switch ($_GET['do']) {
    case 'straight_on':
        // No jump and no function written in PHP: nothing here looks for an interrupt by itself.
        sleep(600);
        sleep(600);
        echo 'after';
        break;
    case 'loop':
        while (true);
    case 'sleeping_loop':
        array_map('sleep', array_fill(0, 1000, 5));
        break;
    case 'endless_shutdown':
        register_shutdown_function(function () {
            echo 'last words ';
            while (true);
        });
        sleep(600);
}
echo 'after';
