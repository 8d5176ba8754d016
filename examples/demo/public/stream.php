<?php

declare(strict_types=1);

/* A response that reaches the client while it is being made: each flush() sends what there is. */

header('Content-Type: text/plain; charset=utf-8');
header('Cache-Control: no-store');
while (ob_get_level() > 0) {
    ob_end_flush();
}
$start = hrtime(true);
for ($line = 1; $line <= 8; $line++) {
    printf("line %d, sent after %4d ms\n", $line, (hrtime(true) - $start) / 1e6);
    flush();
    usleep(250_000);
}
echo "done\n";
