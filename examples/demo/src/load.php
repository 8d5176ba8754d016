<?php

declare(strict_types=1);

foreach (['format', 'Served', 'Runtime', 'Process', 'status'] as $file) {
    require_once __DIR__ . "/$file.php";
}
