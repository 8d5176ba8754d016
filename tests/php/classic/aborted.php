<?php
// Writes until its client is gone, and notes how it ends.
require __DIR__ . '/../shared.php';

if (isset($_GET['ignore'])) {
    ignore_user_abort(true);
}
register_shutdown_function(function () {
    note('shutdown', 'aborted=' . connection_aborted() . ' status=' . connection_status());
});
echo 'begun';
flush();
while (!connection_aborted()) {
    echo str_repeat('.', 1024);
    flush();
    usleep(1000);
}
note('after', 'went on');
