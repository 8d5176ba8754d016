<?php

declare(strict_types=1);

namespace Demo;

/** The request in hand: who asked for what, and which thread answers. */
final readonly class Served
{
    /** Names of the variables worth a line, in order. */
    private const VARIABLES = [
        'REQUEST_METHOD', 'REQUEST_URI', 'SERVER_PROTOCOL', 'HTTPS', 'SSL_PROTOCOL', 'HTTP_HOST', 'REMOTE_ADDR',
        'REMOTE_PORT', 'SERVER_ADDR', 'SERVER_PORT', 'DOCUMENT_ROOT', 'SCRIPT_NAME', 'SCRIPT_FILENAME', 'PATH_INFO',
        'GATEWAY_INTERFACE', 'REQUEST_TIME_FLOAT',
    ];

    /** @param array<string, mixed> $server */
    public function __construct(private array $server)
    {
    }

    /** From when the server had read the request's head until now. */
    public function seconds(): float
    {
        return microtime(true) - (float) ($this->server['REQUEST_TIME_FLOAT'] ?? microtime(true));
    }

    public function mode(): string
    {
        return isset($this->server['FRANKENPHP_WORKER_NAME'])
            ? "worker “{$this->server['FRANKENPHP_WORKER_NAME']}”"
            : 'a clean state (classic mode)';
    }

    public function path(): string
    {
        return explode('?', text($this->server, 'REQUEST_URI'), 2)[0];
    }

    /** @return array<string, string> */
    public function variables(): array
    {
        $known = array_filter(self::VARIABLES, fn (string $name): bool => isset($this->server[$name]));

        return array_combine($known, array_map(fn (string $name): string => (string) $this->server[$name], $known));
    }

    /** @return array<string, string> */
    public function headers(): array
    {
        return function_exists('getallheaders') ? array_map(strval(...), getallheaders()) : [];
    }
}
