<?php

namespace App;

use Symfony\Component\HttpFoundation\Session\Storage\Handler\AbstractSessionHandler;

/** Sessions as an application keeps them in a store of its own: here in files that PHP's own handler does not know. */
final class Sessions extends AbstractSessionHandler
{
    private function path(string $id): string
    {
        return $_SERVER['SCRATCH'] . "/store/$id";
    }

    protected function doRead(string $sessionId): string
    {
        return is_file($this->path($sessionId)) ? file_get_contents($this->path($sessionId)) : '';
    }

    protected function doWrite(string $sessionId, string $data): bool
    {
        return file_put_contents($this->path($sessionId), $data) !== false;
    }

    protected function doDestroy(string $sessionId): bool
    {
        return !is_file($this->path($sessionId)) || unlink($this->path($sessionId));
    }

    public function close(): bool
    {
        return true;
    }

    public function updateTimestamp(string $id, string $data): bool
    {
        return touch($this->path($id));
    }

    public function gc(int $maxLifetime): int|false
    {
        return 0;
    }
}
