<?php
require __DIR__ . '/../shared.php';
$status = opcache_get_status();
reply([
    'enabled' => $status['opcache_enabled'],
    'hits' => $status['scripts'][__FILE__]['hits'] ?? null,
]);
