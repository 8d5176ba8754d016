<?php

declare(strict_types=1);

namespace Demo;

/** The PHP that runs here. */
final readonly class Runtime
{
    /** @return list<string> */
    public function extensions(): array
    {
        $names = get_loaded_extensions();
        natcasesort($names);

        return array_values($names);
    }

    /** @return array<string, string> */
    public function facts(): array
    {
        return [
            'PHP' => PHP_VERSION . (PHP_ZTS ? ', thread-safe' : ', not thread-safe') . (PHP_DEBUG ? ', debug' : ''),
            'Zend Engine' => zend_version(),
            'SAPI' => PHP_SAPI,
            'Configuration' => php_ini_loaded_file() ?: 'defaults, no php.ini',
            'Memory limit' => (string) ini_get('memory_limit'),
            'This request' => size(memory_get_peak_usage()) . ' at most',
            'OPcache' => $this->opcache(),
            'JIT' => $this->jit(),
        ];
    }

    private function opcache(): string
    {
        $status = $this->opcacheStatus();
        if ($status === null) {
            return extension_loaded('Zend OPcache') ? 'loaded, off' : 'not loaded';
        }
        $statistics = $status['opcache_statistics'];

        return sprintf(
            'on: %d scripts, %s, %.1f %% hits',
            $statistics['num_cached_scripts'],
            size($status['memory_usage']['used_memory']),
            $statistics['opcache_hit_rate'],
        );
    }

    private function jit(): string
    {
        $jit = $this->opcacheStatus()['jit'] ?? null;

        return ($jit['on'] ?? false) ? 'on, ' . size($jit['buffer_size'] - $jit['buffer_free']) . ' of code' : 'off';
    }

    /** @return array<string, mixed>|null */
    private function opcacheStatus(): ?array
    {
        $status = function_exists('opcache_get_status') ? opcache_get_status(false) : false;

        return is_array($status) && ($status['opcache_enabled'] ?? false) ? $status : null;
    }
}
