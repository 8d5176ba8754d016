<?php

declare(strict_types=1);

/** The flags as they are now; none when the worker has not reached Redis yet. */
function flags(): array
{
    try {
        return frankenphp_worker_get_vars('flags', 0.2);
    } catch (RuntimeException) {
        return [];
    }
}

$serve = static function (): void {
    $flags = flags();
    header('Content-Type: text/plain; charset=utf-8');
    echo 'checkout: ', $flags['checkout'] ?? 'old', "\n";
    echo 'flags: ', json_encode($flags, JSON_FORCE_OBJECT), "\n";
};

while (frankenphp_handle_request($serve));
