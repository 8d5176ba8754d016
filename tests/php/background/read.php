<?php
// Reads what background workers have published: as a page of its own, or for one request after another.
require_once __DIR__ . '/../shared.php';
require_once __DIR__ . '/suits.php';

/** What happened, as JSON can tell it. */
function outcome(callable $read): array
{
    try {
        return ['value' => $read()];
    } catch (Throwable $e) {
        return [
            'error' => get_class($e) . ': ' . $e->getMessage(),
            'previous' => $e->getPrevious()?->getMessage(),
        ];
    }
}

/** Runs a task of a worker to its end. */
function publish(string $name, int $times): void
{
    $task = frankenphp_worker_task_send($name, ['publish' => $times]);
    while (frankenphp_worker_task_read($task) !== null);
}

function answer(): void
{
    $name = $_GET['name'] ?? $_GET['names'] ?? null;
    $timeout = (float) ($_GET['timeout'] ?? 30.0);
    $read = fn () => frankenphp_worker_get_vars($name, $timeout);
    reply(match ($_GET['do'] ?? 'read') {
        'read' => outcome($read),
        'everything' => $read() === everything(),
        'deep' => depth($read()),
        'same' => array_is_same($read),
        'changes' => changes($name),
        'memory' => memory($name),
        'outlives' => outlives($name),
        'short' => outcome(fn () => frankenphp_get_vars($name)),
        'raw' => outcome(fn () => frankenphp_worker_get_vars(json_decode($_GET['names'], true))),
        'unknown' => outcome($read),
        'renamed' => (function () use ($read) {
            class_exists('Changing', false) || enum_with_less();
            return outcome($read);
        })(),
        'elsewhere' => [
            outcome(fn () => frankenphp_worker_set_vars([])),
            outcome(fn () => frankenphp_worker_get_signaling_stream()),
            outcome(fn () => frankenphp_get_worker_handle()),
        ],
        'publish' => publish($name, (int) $_GET['times']),
    });
}

/** How many arrays are in each other. */
function depth(array $array): int
{
    return isset($array['in']) ? 1 + depth($array['in']) : 1;
}

/** Two reads with nothing published in between give one array; a third after a change to the first does too. */
function array_is_same(callable $read): array
{
    $first = $read();
    $second = $read();
    $before = memory_get_usage();
    $third = $read();
    $grown = memory_get_usage() - $before;
    $same = $first === $second && $second === $third;
    $first['mine'] = 1;
    return ['same' => $same, 'grown' => $grown, 'kept' => !isset($read()['mine'])];
}

/** Reads what a worker publishes between reads, and what it read before. */
function changes(string $name): array
{
    $seen = [frankenphp_worker_get_vars($name)];
    for ($i = 1; $i <= 50; $i++) {
        publish($name, 1);
        $seen[] = frankenphp_worker_get_vars($name);
    }
    $numbers = array_column($seen, 'n');
    $pads = array_map(fn ($vars) => count_chars($vars['pad'], 3), $seen);
    return ['from' => $numbers[0], 'to' => end($numbers), 'distinct' => count(array_unique($numbers)), 'pads' => implode($pads)];
}

/** Memory of this thread after many reads of a large snapshot. */
function memory(string $name): array
{
    frankenphp_worker_get_vars($name);
    $before = memory_get_usage();
    for ($i = 0; $i < 10_000; $i++) {
        $vars = frankenphp_worker_get_vars($name);
    }
    return ['bytes' => strlen($vars['blob']), 'grown' => memory_get_usage() - $before];
}

/** What is kept of a snapshot in a static lives on when the worker has published others. */
function outlives(string $name): mixed
{
    static $kept;
    $kept ??= frankenphp_worker_get_vars($name);
    publish($name, 1);
    return [$kept['n'], frankenphp_worker_get_vars($name)['n'] - $kept['n'], strlen($kept['pad'])];
}

if (isset($_SERVER['FRANKENPHP_WORKER'])) {
    while (frankenphp_handle_request(answer(...)));
} else {
    answer();
}
