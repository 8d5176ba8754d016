<?php
// Goes on, with output that nobody gets, when the client has the head.
require __DIR__ . '/../shared.php';
$name = "$_GET[method] $_GET[status]";
http_response_code((int) $_GET['status']);
echo 'first';
flush();
await("seen $name");
for ($i = 0; $i < 3; $i++) {
    echo str_repeat('more', 50_000);
    flush();
}
note($name, (string) connection_aborted());
