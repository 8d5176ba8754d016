<?php
require __DIR__ . '/../shared.php';
header('X-Own: 1');
header('X-Twice: 1');
header('X-Twice: 2', false);
reply([
    'request' => getallheaders(),
    'same' => getallheaders() === apache_request_headers()
        && getallheaders() === frankenphp_request_headers(),
    'response' => apache_response_headers(),
    'same response' => apache_response_headers() === frankenphp_response_headers(),
    'sapi' => [PHP_SAPI, php_sapi_name()],
    'opcache' => opcache_get_status(false)['opcache_enabled'],
    'worker' => (function () {
        try {
            frankenphp_handle_request(fn () => null);
        } catch (RuntimeException $e) {
            return $e->getMessage();
        }
    })(),
]);
