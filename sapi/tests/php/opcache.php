<?php
switch ($_GET['do'] ?? '') {
    case 'reset':
        var_dump(opcache_reset());
        break;
    case 'restarts':
        $status = opcache_get_status(false);
        echo $status['opcache_statistics']['oom_restarts'] + $status['opcache_statistics']['hash_restarts'];
        break;
    default:
        $value = include $_GET['file'];
        echo $value['version'], ' ', count($value['ballast']);
}
