<?php

declare(strict_types=1);

namespace Demo;

/**
 * What changes while the server runs: shown by the page, and asked for again by its script.
 *
 * @return array{facts: array<string, string>, threads: list<array<string, mixed>>}
 */
function status(Process $process): array
{
    $facts = ['Process' => (string) $process->id()];
    if ($process->age() > 0) {
        $facts['Up for'] = duration($process->age());
    }
    if ($process->memory() > 0) {
        $facts['Memory'] = size($process->memory());
    }
    $threads = $process->threads();
    if ($threads !== []) {
        $facts['Threads'] = (string) count($threads);
        $facts['Processor time'] = duration(array_sum(array_column($threads, 'seconds')));
    }

    return ['facts' => $facts, 'threads' => $threads];
}
