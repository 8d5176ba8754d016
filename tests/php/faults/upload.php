<?php
require __DIR__ . '/../shared.php';
register_shutdown_function(fn () => note('upload', 'ended'));
note('upload', 'begun');
$length = strlen(file_get_contents('php://input'));
note('upload', "read $length aborted=" . connection_aborted());
echo $length;
