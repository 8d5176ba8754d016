<?php
// Says which thread it runs on, then blocks in the way it is asked to. Nothing may come after.
$port = $_GET['port'] ?? 0;
$file = $_GET['file'] ?? '';
$block = [
    'nothing' => fn() => null,
    'sleep' => fn() => sleep(600),
    'usleep' => fn() => usleep(600_000_000),
    'time_nanosleep' => fn() => time_nanosleep(600, 0),
    'fread' => fn() => fread(fsockopen('127.0.0.1', $port), 10),
    'fgets' => fn() => fgets(fsockopen('127.0.0.1', $port)),
    'http' => fn() => file_get_contents("http://127.0.0.1:$port/"),
    'tls' => fn() => file_get_contents("https://127.0.0.1:$port/"),
    'stream_socket_accept' => fn() => stream_socket_accept(stream_socket_server('tcp://127.0.0.1:0'), 600),
    'stream_select' => function () use ($port) {
        $read = [fsockopen('127.0.0.1', $port)];
        $none = null;
        stream_select($read, $none, $none, 600);
    },
    'socket_accept' => function () {
        $socket = socket_create(AF_INET, SOCK_STREAM, 0);
        socket_bind($socket, '127.0.0.1');
        socket_listen($socket);
        socket_accept($socket);
    },
    'socket_read' => function () use ($port) {
        $socket = socket_create(AF_INET, SOCK_STREAM, 0);
        socket_connect($socket, '127.0.0.1', $port);
        socket_read($socket, 10);
    },
    'flock' => fn() => flock(fopen($file, 'r+'), LOCK_EX),
    'curl' => fn() => curl_exec(curl_init("http://127.0.0.1:$port/")),
    'mysqli' => fn() => mysqli_connect('127.0.0.1', 'user', 'password', 'db', (int) $port),
    'pgsql' => fn() => pg_connect("host=127.0.0.1 port=$port user=user dbname=db"),
    'pdo_mysql' => fn() => new PDO("mysql:host=127.0.0.1;port=$port;dbname=db", 'user', 'password'),
    'pdo_pgsql' => fn() => new PDO("pgsql:host=127.0.0.1;port=$port;dbname=db", 'user', 'password'),
    'exec' => fn() => exec('exec sleep 60 2>/dev/null'),
    'exec of a silent child' => fn() => exec('exec sleep 60 >/dev/null 2>&1'),
    'proc_close' => function () {
        $nowhere = ['file', '/dev/null', 'w'];
        proc_close(proc_open(['sleep', '60'], [1 => $nowhere, 2 => $nowhere], $pipes));
    },
    'fread of a pipe' => fn() => fread(popen('exec sleep 60 2>/dev/null', 'r'), 10),
    'a session lock' => fn() => session_start(),
    'an SQLite transaction' => function () use ($file) {
        $db = new PDO("sqlite:$file");
        $db->exec('BEGIN EXCLUSIVE');
        sleep(600);
    },
    'a locked SQLite database' => function () use ($file) {
        $db = new PDO("sqlite:$file", options: [PDO::ATTR_TIMEOUT => 600]);
        $db->exec('CREATE TABLE t (n)');
    },
];
// After the first output neither could be changed.
ini_set('session.use_cookies', 0);
session_cache_limiter('');
session_save_path(dirname($file));
session_id('blocking');

echo basename(readlink('/proc/thread-self')), "\n";
flush();
if (isset($_GET['limit'])) {
    set_time_limit((int) $_GET['limit']);
}
$block[$_GET['do']]();
echo "after\n";
