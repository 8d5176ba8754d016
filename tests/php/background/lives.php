<?php
// Each of its lives ends as the next line of the test's file `lives` says; the last line stays.
require __DIR__ . '/../shared.php';

note('lived');
$life = substr_count(file_get_contents(scratch('lived')), "\n");
$plan = file(scratch('lives'), FILE_IGNORE_NEW_LINES);
$words = explode(' ', $plan[min($life, count($plan)) - 1]);
foreach ($words as $word) {
    switch ($word) {
        case 'ready':
            $signals = frankenphp_worker_get_signaling_stream();
            break;
        case 'publish':
            frankenphp_worker_set_vars(['life' => $life]);
            break;
        case 'await':
            await("go-$life");
            break;
        case 'stay':
            while (fgets($signals) === "task\n");
            exit;
        case 'throw':
            throw new DomainException("life $life");
        case 'fatal':
            no_such_function();
        case 'memory':
            str_repeat('x', PHP_INT_MAX >> 8);
        case 'exit0':
            exit(0);
        case 'exit1':
            exit(1);
        case 'return':
            return;
    }
}
