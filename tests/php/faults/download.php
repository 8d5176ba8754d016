<?php
// Writes more than any buffer between here and the client holds.
require __DIR__ . '/../shared.php';
register_shutdown_function(fn () => note('download', 'aborted=' . connection_aborted()));
for ($i = 0; $i < 4096; $i++) {
    echo str_repeat('x', 65536);
}
