<?php

declare(strict_types=1);

require __DIR__ . '/../src/load.php';

header('Content-Type: application/json');
header('Cache-Control: no-store');
echo json_encode(Demo\status(new Demo\Process()), JSON_THROW_ON_ERROR | JSON_INVALID_UTF8_SUBSTITUTE);
