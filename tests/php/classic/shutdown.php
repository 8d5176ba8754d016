<?php
register_shutdown_function(function (string $word) {
    echo " $word";
    register_shutdown_function(fn () => print(' nested'));
}, 'shutdown');
class Last
{
    public function __destruct()
    {
        echo ' destructor';
    }
}
$last = new Last();
echo 'script';
