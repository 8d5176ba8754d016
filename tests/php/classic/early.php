<?php
require __DIR__ . '/../shared.php';
header('Link: </style.css>; rel=preload; as=style');
$sent = headers_send(103);
header_remove('Link');
await('hint-seen');
header('X-Final: yes');
echo "sent $sent";
