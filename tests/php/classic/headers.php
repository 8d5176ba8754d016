<?php
// One way of setting status and headers a request.
match ($_GET['form']) {
    'status line' => header('HTTP/1.1 404 Not here'),
    'status word' => header('Status: 410 Gone'),
    'code' => header('X-A: 1', true, 202),
    'function' => http_response_code(418),
    'location' => header('Location: /elsewhere'),
    'location with code' => header('Location: /elsewhere', true, 307),
    'replace' => (function () {
        header('X-A: first');
        header('X-A: second');
    })(),
    'append' => (function () {
        header('X-A: first');
        header('X-A: second', false);
    })(),
    'remove' => (function () {
        header('X-A: first');
        header('X-B: stays');
        header_remove('X-A');
    })(),
    'type' => header('Content-Type: text/x-own; charset=latin1'),
    'cookies' => (function () {
        setcookie('a', '1', ['path' => '/', 'httponly' => true]);
        setcookie('b', 'two words', ['samesite' => 'Lax']);
        setrawcookie('c', 'raw');
    })(),
    'injection' => @header("X-A: 1\r\nX-Evil: 1"),
    'empty' => header('X-Empty:'),
    'connection close' => header('Connection: close'),
    'length' => header('Content-Length: 4'),
    'callback' => header_register_callback(fn () => header('X-Late: callback')),
    'no content' => http_response_code(204),
    'continue' => http_response_code(100),
    'switching protocols' => header('Status: 101'),
    'early hints' => header('HTTP/1.1 103 Early Hints'),
};
echo 'body';
