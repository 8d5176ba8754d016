<?php

declare(strict_types=1);

namespace Demo;

/** For everything that goes into HTML text or an attribute in quotes. */
function e(string|int|float $text): string
{
    return htmlspecialchars((string) $text, ENT_QUOTES | ENT_SUBSTITUTE | ENT_HTML5, 'UTF-8');
}

function size(int|float $bytes): string
{
    foreach (['B', 'KiB', 'MiB', 'GiB'] as $unit) {
        if ($bytes < 1024 || $unit === 'GiB') {
            break;
        }
        $bytes /= 1024;
    }

    return round($bytes, $bytes < 10 && $unit !== 'B' ? 1 : 0) . " $unit";
}

function duration(float $seconds): string
{
    return match (true) {
        $seconds < 0.001 => round($seconds * 1e6) . ' µs',
        $seconds < 1 => round($seconds * 1e3, 1) . ' ms',
        $seconds < 120 => round($seconds, 1) . ' s',
        $seconds < 7200 => round($seconds / 60) . ' min',
        default => round($seconds / 3600) . ' h',
    };
}

/** A string of the request, whatever the client made of it. */
function text(array $source, string $name): string
{
    $value = $source[$name] ?? '';

    return is_string($value) ? $value : '';
}
