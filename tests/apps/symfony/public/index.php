<?php
// The front controller: one request in classic mode, in worker mode a loop as Symfony's runtime has it.

use App\Kernel;
use Symfony\Component\ErrorHandler\ErrorHandler;
use Symfony\Component\HttpFoundation\Request;

require __DIR__ . '/../Kernel.php';
require __DIR__ . '/../Sessions.php';
require __DIR__ . '/../Stage.php';

ErrorHandler::register();
$kernel = new Kernel('prod', false);

if (!isset($_SERVER['FRANKENPHP_WORKER'])) {
    $request = Request::createFromGlobals();
    $response = $kernel->handle($request);
    $response->send();
    $kernel->terminate($request, $response);
    return;
}

ignore_user_abort(true);
$server = array_filter($_SERVER, fn (string $key) => !str_starts_with($key, 'HTTP_'), ARRAY_FILTER_USE_KEY);
$request = $response = null;
$handler = static function () use ($kernel, $server, &$request, &$response): void {
    $_SERVER += $server;
    $request = Request::createFromGlobals();
    $response = $kernel->handle($request);
    $response->send();
};

do {
    $more = frankenphp_handle_request($handler);
    if ($request && $response) {
        $kernel->terminate($request, $response);
    }
    $request = $response = null;
    gc_collect_cycles();
} while ($more);
