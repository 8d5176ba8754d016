<?php
// Makes round trips for a while and tells how many and how long they took, by microseconds.

/** @return array{trips: int, seconds: float, micros: array<int, int>} */
function measure(float $seconds, callable $trip): array
{
    $trip();
    $micros = [];
    $begun = $now = hrtime(true);
    $end = $begun + (int) ($seconds * 1e9);
    for ($trips = 0; $now < $end; $trips++) {
        $trip();
        $then = $now;
        $now = hrtime(true);
        $took = intdiv($now - $then, 1000);
        $micros[$took] = ($micros[$took] ?? 0) + 1;
    }
    return ['trips' => $trips, 'seconds' => ($now - $begun) / 1e9, 'micros' => (object) $micros];
}

function check(string $sent, string $got): void
{
    if ($sent !== $got) {
        throw new RuntimeException('the answer is another one');
    }
}
