<?php
// Publishes the number that its signaling stream has for select(), and waits with a select of its own.
require __DIR__ . '/../shared.php';

/** The numbers of the eventfds below a limit that this process has. */
function eventfds(): array
{
    $numbers = [];
    foreach (scandir('/proc/self/fd') as $number) {
        if (@readlink("/proc/self/fd/$number") === 'anon_inode:[eventfd]') {
            $numbers[] = (int) $number;
        }
    }
    return $numbers;
}

await('crowd');
$before = eventfds();
$signals = frankenphp_worker_get_signaling_stream();
$read = [$signals];
$none = null;
stream_select($read, $none, $none, 0); // its descriptor is made when somebody watches it
frankenphp_worker_set_vars([
    'new' => array_values(array_diff(eventfds(), $before)),
    'open' => count(scandir('/proc/self/fd')),
]);
do {
    $read = [$signals];
    stream_select($read, $none, $none, null);
} while (fgets($signals) === "task\n");
note('left');
