<?php

// A background worker that publishes 100 bytes, or a megabyte in 10,000 pieces, by its name, and waits to be stopped.
$count = ['small' => 1, 'big' => 10000][$_SERVER['FRANKENPHP_WORKER_NAME']];
frankenphp_worker_set_vars(array_fill(0, $count, str_repeat('x', 100)));
while (($signal = fgets(frankenphp_worker_get_signaling_stream())) !== false && $signal !== "stop\n") {
}
