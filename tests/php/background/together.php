<?php
// Publishes its name when its counterpart is there too.
require __DIR__ . '/../shared.php';

$name = $_SERVER['FRANKENPHP_WORKER_NAME'];
note("here-$name");
await($name === 'one' ? 'here-two' : 'here-one');
frankenphp_worker_set_vars(['name' => $name]);
$signals = frankenphp_worker_get_signaling_stream();
while (fgets($signals) === "task\n");
