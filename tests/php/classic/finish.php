<?php
require __DIR__ . '/../shared.php';
header('X-Before: 1');
echo 'answer';
$finished = fastcgi_finish_request();
echo 'never sent';
await('answered');
note('after', json_encode([
    'finished' => $finished,
    'again' => fastcgi_finish_request(),
    'body' => strlen(file_get_contents('php://input')),
    'headers_sent' => headers_sent(),
]));
