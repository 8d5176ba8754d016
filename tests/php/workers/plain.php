<?php
require __DIR__ . '/../shared.php';
reply(['worker' => $_SERVER['FRANKENPHP_WORKER_NAME'] ?? null]);
