<?php
// Loops as queue workers have them: ended by SIGTERM, which arrives in the middle of a sleep.
$caught = 0;
pcntl_signal(SIGTERM, function (int $signal) use (&$caught) {
    $caught = $signal;
});
$handle = function () use (&$caught) {
    pcntl_async_signals($_GET['do'] === 'async');
    echo basename(readlink('/proc/thread-self')), "\n";
    flush();
    while ($caught === 0) {
        sleep(600);
        if ($_GET['do'] === 'dispatch') {
            pcntl_signal_dispatch();
        }
    }
    echo 'caught ', $caught;
};
while (frankenphp_handle_request($handle));
