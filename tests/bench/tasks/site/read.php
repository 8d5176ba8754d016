<?php
// Reads what a worker has published again and again; tells how many nanoseconds a read takes.
function read(): void
{
    parse_str($_SERVER['QUERY_STRING'], $query);
    $name = $query['name'];
    $best = INF;
    for ($round = 0; $round < 9; $round++) {
        $begun = hrtime(true);
        for ($i = 0; $i < 20_000; $i++) {
            $vars = frankenphp_worker_get_vars($name);
        }
        $best = min($best, (hrtime(true) - $begun) / 20_000);
    }
    check($query['size'], (string) strlen($vars['text']));
    echo json_encode($best);
}

require __DIR__ . '/../clock.php';
if (!empty($_SERVER['FRANKENPHP_WORKER'])) {
    while (frankenphp_handle_request(read(...))) {
    }
} else {
    read();
}
