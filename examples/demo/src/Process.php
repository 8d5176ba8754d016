<?php

declare(strict_types=1);

namespace Demo;

/**
 * The server's process as Linux tells of it. Where `/proc` can't be read, there is less to show.
 */
final readonly class Process
{
    /** Linux counts processor time in these, whatever the clock of the kernel. */
    private const TICKS_PER_SECOND = 100;

    /** What a thread is for, by what its name begins with. */
    private const ROLES = [
        'classic:' => 'PHP, from a clean state',
        'actix-rt' => 'network I/O',
        'actix-server' => 'new connections',
        'supervision' => 'the tree of actors',
        'tokio-rt-worker' => 'work that blocks',
        'watchdog' => 'deadlines',
        'php-engine' => 'starts and ends PHP',
        'log-writer' => 'the log',
    ];

    private const STATES = ['R' => 'running', 'S' => 'waiting', 'D' => 'disk'];

    public function id(): int
    {
        return (int) getmypid();
    }

    /** Resident memory in bytes; 0 when it can't be told. */
    public function memory(): int
    {
        preg_match('/^VmRSS:\s+(\d+) kB$/m', self::read('/proc/self/status'), $found);

        return 1024 * (int) ($found[1] ?? 0);
    }

    /** Seconds since the server started; 0 when it can't be told. */
    public function age(): float
    {
        $up = (float) self::read('/proc/uptime');
        $started = (int) (self::stat('/proc/self/stat')[19] ?? 0) / self::TICKS_PER_SECOND;

        return $started > 0 ? max(0.0, $up - $started) : 0.0;
    }

    /** The id of the thread that runs this script, 0 when it can't be told. */
    public function thread(): int
    {
        $link = @readlink('/proc/thread-self');

        return $link === false ? 0 : (int) basename($link);
    }

    /** @return list<array{id: int, name: string, role: string, state: string, seconds: float, serves: bool}> */
    public function threads(): array
    {
        $self = $this->thread();
        $threads = [];
        foreach (@scandir('/proc/self/task') ?: [] as $id) {
            $stat = ctype_digit($id) ? self::stat("/proc/self/task/$id/stat") : [];
            if ($stat !== []) {
                $name = trim(self::read("/proc/self/task/$id/comm"));
                $threads[] = [
                    'id' => (int) $id,
                    'name' => $name,
                    'role' => (int) $id === $this->id() ? 'start and stop' : self::role($name),
                    'state' => self::STATES[$stat[0]] ?? $stat[0],
                    'seconds' => ((int) $stat[11] + (int) $stat[12]) / self::TICKS_PER_SECOND,
                    'serves' => (int) $id === $self,
                ];
            }
        }

        return $threads;
    }

    private static function role(string $name): string
    {
        foreach (self::ROLES as $prefix => $role) {
            if (str_starts_with($name, $prefix)) {
                return $role;
            }
        }

        return str_contains($name, ':') ? 'PHP, a worker' : '';
    }

    /**
     * The fields after the name, which stands in brackets and may hold anything.
     *
     * @return list<string>
     */
    private static function stat(string $file): array
    {
        $line = self::read($file);
        $end = strrpos($line, ')');

        return $end === false ? [] : explode(' ', substr($line, $end + 2));
    }

    private static function read(string $file): string
    {
        return (string) @file_get_contents($file);
    }
}
