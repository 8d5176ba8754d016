<?php
// Nothing of this may be there in the next request.
require __DIR__ . '/../shared.php';

function counted(): int
{
    static $count = 0;
    return ++$count;
}
$leftovers = [
    'global' => isset($GLOBALS['left']),
    'constant' => defined('LEFT'),
    'static' => counted(),
    'class' => class_exists('Left', false),
    'ini' => ini_get('precision'),
    'timezone' => date_default_timezone_get(),
    'directory' => getcwd(),
    'handler' => set_error_handler(null),
    'last error' => error_get_last(),
    'buffers' => ob_get_level(),
];
$GLOBALS['left'] = 1;
define('LEFT', 1);
eval('class Left {}');
ini_set('precision', '5');
date_default_timezone_set('Asia/Tokyo');
chdir('/');
set_error_handler(fn () => false);
@trigger_error('left');
ob_start();
ob_start();
reply($leftovers);
