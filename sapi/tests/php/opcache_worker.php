<?php
// What was included at boot stays until the script starts again.
$value = null;
$handle = function () use (&$value) {
    $value ??= include $_GET['file'];
    if (($_GET['do'] ?? '') === 'reset') {
        opcache_reset();
    }
    echo $value['version'];
};
while (frankenphp_handle_request($handle));
