<?php
header('X-Sent: early');
headers_send(201);
require __DIR__ . '/../shared.php';
echo headers_sent() ? 'sent' : 'not sent';
