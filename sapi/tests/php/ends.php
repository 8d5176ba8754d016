<?php
// Classic: once. As a worker script: for every request.
final class Throws
{
    public function __destruct()
    {
        throw new RuntimeException('from a destructor');
    }
}

function depth(int $n): int
{
    return $n === 0 ? 0 : 1 + depth($n - 1);
}

function nested(int $n): int
{
    return $n === 0 ? 0 : 1 + array_map('nested', [$n - 1])[0];
}

class Wrapper
{
    public $context;

    public function stream_open(): bool
    {
        return false;
    }
}

stream_wrapper_register('own', Wrapper::class);
stream_wrapper_unregister('glob');
libxml_set_external_entity_loader(fn () => null);

$serve = function () {
    switch ($_GET['do'] ?? '') {
        case 'memory':
            ini_set('memory_limit', '16M');
            $all = [];
            while (true) {
                $all[] = str_repeat('x', 100_000);
            }
        case 'recursion':
            echo depth(50_000), ' ', nested(10_000);
            break;
        case 'endless recursion':
            ini_set('memory_limit', '64M');
            depth(PHP_INT_MAX);
        case 'exit in a shutdown function':
            register_shutdown_function(function () {
                echo 'first ';
                exit(5);
            });
            register_shutdown_function(fn() => print 'second');
            break;
        case 'throw in a shutdown function':
            register_shutdown_function(fn() => throw new RuntimeException('from a shutdown function'));
            echo 'body ';
            break;
        case 'throw in a destructor':
            $GLOBALS['throws'] = new Throws();
            echo 'body ';
            break;
        case 'throw in a destructor in the middle':
            new Throws();
            echo 'not reached';
            break;
        case 'close the standard streams':
            foreach (['stdin', 'stdout', 'stderr', 'output'] as $name) {
                fclose(fopen("php://$name", 'r+'));
            }
            echo 'still ';
            file_put_contents('php://output', 'heard');
            break;
        case 'exit in an output callback':
            ob_start(function (string $text) {
                exit('exit in the callback');
            });
            echo 'buffered';
            break;
        case 'throw in an output callback':
            ob_start(fn() => throw new RuntimeException('from an output callback'));
            echo 'buffered';
            break;
        case 'fatal error':
            undefined_function();
        case 'exit with a status':
            http_response_code(202);
            exit(9);
        case 'error after output':
            echo 'begun ';
            flush();
            undefined_function();
        case 'die in a nested include':
            ob_start();
            eval('die("dead");');
        case 'unbuffered levels':
            ob_start();
            echo 'a';
            ob_start();
            echo 'b';
            break;
        case 'other wrappers and loaders':
            stream_wrapper_unregister('own');
            stream_wrapper_register('own', Wrapper::class);
            stream_wrapper_unregister('http');
            stream_wrapper_restore('glob');
            libxml_set_streams_context(stream_context_create());
            libxml_set_external_entity_loader(fn () => null);
            stream_context_set_params(stream_context_get_default(), ['notification' => fn () => null]);
            echo 'changed';
            break;
        case 'wrappers that are taken away at the end':
            stream_wrapper_unregister('own');
            undefined_function();
        default:
            echo 'fine';
    }
};

if (isset($_SERVER['FRANKENPHP_WORKER_NAME'])) {
    while (frankenphp_handle_request($serve));
} else {
    $serve();
}
