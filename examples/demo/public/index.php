<?php

declare(strict_types=1);

/* The page that `make run` opens on. It is plain PHP: what it does, your application can do. */

require __DIR__ . '/../src/load.php';

$served = new Demo\Served($_SERVER);
// Paths that are no file end up here: a front controller decides what they mean.
$isHome = in_array($served->path(), ['/', '/index.php', ''], true);

http_response_code($isHome ? 200 : 404);
header('Content-Type: text/html; charset=utf-8');
header('Cache-Control: no-store');
header("Content-Security-Policy: default-src 'self'");

require __DIR__ . '/../src/page.php';
