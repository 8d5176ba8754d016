<?php
// Publishes a text of so many bytes, once.
frankenphp_worker_set_vars(['text' => str_repeat('x', (int) getenv('SIZE'))]);
$stop = frankenphp_worker_get_signaling_stream();
fgets($stop);
