<?php

declare(strict_types=1);

/**
 * Keeps this application's feature flags in step with Redis.
 *
 * They are a hash, `flags`; whoever changes it says so on the channel of the same name. This worker holds a
 * subscription, and reads the hash again at every message. While Redis is away, requests keep the flags that were
 * read last.
 */
final class Flags
{
    private const KEY = 'flags';

    private readonly Redis $redis;

    /** @var resource the subscription: what comes on it only says that something has changed */
    private $news;

    public function __construct(string $address)
    {
        // A path is the address of a socket.
        $isPath = str_starts_with($address, '/');
        [$host, $port] = $isPath ? [$address, 0] : explode(':', $address);
        $this->redis = new Redis();
        $this->redis->connect($host, (int) $port, 2.0);
        $news = stream_socket_client($isPath ? "unix://$address" : "tcp://$address", $code, $error, 2.0);
        if ($news === false) {
            throw new RedisException($error);
        }
        // Subscribed before the first read, so that no change falls between the two.
        fwrite($news, 'SUBSCRIBE ' . self::KEY . "\r\n");
        $this->news = $news;
    }

    /** Publishes what Redis holds, until the worker is asked to stop. */
    public function follow($signals): void
    {
        do {
            frankenphp_worker_set_vars($this->redis->hGetAll(self::KEY));
            $read = [$signals, $this->news];
            $none = null;
            stream_select($read, $none, $none, null);
            if (in_array($signals, $read, true)) {
                return;
            }
        } while (!in_array(fread($this->news, 65536), ['', false], true));
        throw new RedisException('the subscription has ended');
    }
}

/** Whether the worker is asked to stop within some seconds. */
function stops($signals, int $seconds): bool
{
    $read = [$signals];
    $none = null;
    return stream_select($read, $none, $none, $seconds) > 0;
}

$signals = frankenphp_worker_get_signaling_stream();
do {
    try {
        (new Flags($_SERVER['REDIS']))->follow($signals);
    } catch (RedisException $e) {
        frankenphp_log("flags: Redis is away: {$e->getMessage()}", FRANKENPHP_LOG_LEVEL_WARN);
    }
} while (!stops($signals, 1));
