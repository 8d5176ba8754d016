<?php
register_shutdown_function(function () {
    echo ' shutdown';
    exit(1);
});
register_shutdown_function(fn () => print(' never'));
echo 'body';
