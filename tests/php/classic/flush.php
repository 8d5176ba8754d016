<?php
require __DIR__ . '/../shared.php';
header('Content-Type: ' . ($_GET['type'] ?? 'text/plain'));
echo 'first';
flush();
await('first-seen');
echo 'second';
