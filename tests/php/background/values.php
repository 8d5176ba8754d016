#!/usr/bin/env php
<?php
// Publishes what its name says.
require __DIR__ . '/suits.php';

/** An array in an array in an array. */
function nested(int $depth): array
{
    $array = [];
    while (--$depth > 0) {
        $array = ['in' => $array];
    }
    return $array;
}

/** What set_vars() has against them. */
function objection(array $vars): ?string
{
    try {
        frankenphp_worker_set_vars($vars);
        return null;
    } catch (Throwable $e) {
        return get_class($e) . ': ' . $e->getMessage();
    }
}

/** What refuses the name of a function. */
function refusal(callable $call): string
{
    try {
        return var_export($call(), true);
    } catch (Throwable $e) {
        return get_class($e) . ': ' . $e->getMessage();
    }
}

$name = $_SERVER['FRANKENPHP_WORKER_NAME'];
switch (strtok($name, '-')) {
    case 'everything':
        frankenphp_worker_set_vars(everything());
        break;
    case 'server':
        frankenphp_worker_set_vars([
            'argv' => $_SERVER['argv'], 'argc' => $_SERVER['argc'], 'global argv' => $argv ?? null,
            'name' => $_SERVER['FRANKENPHP_WORKER_NAME'], 'background' => $_SERVER['FRANKENPHP_WORKER_BACKGROUND'],
            'limit' => ini_get('max_execution_time'), 'env' => $_SERVER['OWN'] ?? null, 'site' => $_SERVER['SITE'] ?? null,
            'handle_request' => refusal(fn () => frankenphp_handle_request(fn () => null)),
            'uptime' => microtime(true) - $_SERVER['REQUEST_TIME_FLOAT'] >= 0,
        ]);
        break;
    case 'depth':
        $objection = objection(nested((int) substr($name, 6)));
        if ($objection !== null) {
            frankenphp_worker_set_vars(['objection' => $objection]);
        }
        break;
    case 'objections':
        $recursive = ['self' => null];
        $recursive['self'] = &$recursive;
        $shared = 1;
        frankenphp_worker_set_vars(['objections' => [
            'object' => objection(['a' => ['b' => [1, new ArrayObject()]]]),
            'closure' => objection([fn () => 1]),
            'resource' => objection(['deep' => [['er' => fopen('php://memory', 'r')]]]),
            'reference' => objection(['x' => &$shared, 'y' => &$shared]),
            'recursive' => objection($recursive),
            'nothing was published' => refusal(fn () => frankenphp_worker_get_vars($name, 0.0)),
        ]]);
        break;
    case 'unknown': // an enum that the reader has not got
        enum_only_here();
        frankenphp_worker_set_vars(['inside' => ['case' => constant('OnlyHere::Known')]]);
        break;
    case 'renamed': // the case of an enum that is another one at the reader's
        enum_with_more();
        frankenphp_worker_set_vars(['case' => constant('Changing::Added')]);
        break;
    case 'large':
        frankenphp_worker_set_vars(['blob' => str_repeat('x', (int) substr($name, 6)), 'list' => range(1, 1000)]);
        break;
    case 'counting': // a snapshot of its own for each task
        frankenphp_worker_set_vars(['n' => 0, 'pad' => str_repeat('p', 1000)]);
        break;
    case 'identical':
        $life = ['at' => 1.5, 'list' => [1, '1', [true]], 'case' => Suit::Hearts];
        frankenphp_worker_set_vars($life);
        break;
    case 'silent':
        break;
}

$signals = frankenphp_worker_get_signaling_stream();
$n = 0;
while (fgets($signals) === "task\n") {
    while ($task = frankenphp_worker_task_receive()) {
        [$stream, $payload] = $task;
        for ($i = 0; $i < $payload['publish']; $i++) {
            match (strtok($name, '-')) {
                'counting' => frankenphp_worker_set_vars(['n' => ++$n, 'pad' => str_repeat(chr(97 + $n % 26), 1000)]),
                'identical' => frankenphp_worker_set_vars(unserialize(serialize($life))),
            };
        }
        fclose($stream);
    }
}
