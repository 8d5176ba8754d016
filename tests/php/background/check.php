<?php
// Reads what `writer.php` publishes, many times, and says whether every snapshot was one.
require_once __DIR__ . '/suits.php';

function is_whole(array $vars): bool
{
    $all = implode($vars['pads']);
    return strlen($all) === $vars['length']
        && trim($all, $vars['letter']) === ''
        && array_key_first($vars['nested'][0]) === $vars['letter']
        && in_array($vars['case'], [null, Suit::Hearts], true);
}

function check(): void
{
    static $kept = [];
    $whole = true;
    for ($i = 0; $i < 20; $i++) {
        $vars = frankenphp_worker_get_vars('writer');
        $whole = $whole && is_whole($vars);
        $kept[random_int(0, 9)] = $vars;
    }
    foreach ($kept as $vars) {
        $whole = $whole && is_whole($vars);
    }
    echo $whole ? 'whole' : 'broken';
}

if (isset($_SERVER['FRANKENPHP_WORKER'])) {
    while (frankenphp_handle_request(check(...)));
} else {
    check();
}
