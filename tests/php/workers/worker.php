<?php
// An application that was booted once. What a request asks for is in `do`.
require __DIR__ . '/../shared.php';

note('boots', json_encode([
    'name' => $_SERVER['FRANKENPHP_WORKER_NAME'] ?? null,
    'background' => $_SERVER['FRANKENPHP_WORKER_BACKGROUND'] ?? null,
    'booting' => $_SERVER['FRANKENPHP_WORKER'] ?? null,
    'env' => $_SERVER['OWN'] ?? null,
]));
ini_set('precision', '11');
libxml_use_internal_errors(isset($_SERVER['SET_BY_BOOT']));
stream_wrapper_register('own', Own::class);
if (isset($_SERVER['SET_BY_BOOT'])) {
    stream_wrapper_unregister('glob');
    stream_wrapper_unregister('data');
    stream_wrapper_register('data', Own::class);
    libxml_set_streams_context(stream_context_create(['own' => ['xml' => 'of the boot']]));
    libxml_set_external_entity_loader('load');
    stream_context_set_params(stream_context_get_default(), ['notification' => 'load']);
    mb_internal_encoding('ISO-8859-15');
    mb_http_output('ISO-8859-15');
    mb_detect_order(['ASCII', 'ISO-8859-15']);
    mb_substitute_character('long');
    mb_regex_encoding('ISO-8859-15');
    mb_regex_set_options('ir');
    pcntl_async_signals(true);
    pcntl_signal(SIGUSR1, 'load');
    spl_autoload_extensions('.boot');
    assert_options(ASSERT_CALLBACK, 'load');
    mysqli_report(MYSQLI_REPORT_INDEX);
    setlocale(LC_ALL, 'C.UTF-8');
    umask(027);
    openlog('boot', LOG_PERROR, LOG_USER);
}
stream_context_set_default(['http' => ['user_agent' => 'of the boot']]);
putenv('KEPT_ENV=kept');
define('BOOTED', getmypid());
const ENCODINGS = [
    'mb_internal_encoding',
    'mb_http_output',
    'mb_substitute_character',
    'mb_detect_order',
    'mb_regex_encoding',
    'mb_regex_set_options',
];
mb_substitute_character(0x2A);
register_tick_function(fn () => Left::$ticks++);
$GLOBALS['kept'] = 0;
class Left extends Exception
{
    public static int $count = 0;
    public static array $leaked = [];
    public static array $servers = [];
    public static string $upload;
    public static $input;
    public static int $ticks = 0;
}

/** Streams of this say what their context is. */
class Own
{
    public $context;
    protected string $text;

    public function stream_open(string $path): bool
    {
        $options = $this->context ? stream_context_get_options($this->context) : null;
        $this->text = '<own>' . json_encode($options) . '</own>';
        return true;
    }

    public function stream_read(int $length): string
    {
        [$text, $this->text] = [$this->text, ''];
        return $text;
    }

    public function stream_eof(): bool
    {
        return $this->text === '';
    }

    public function stream_stat(): array
    {
        return [];
    }

    public function url_stat(): array
    {
        return [];
    }
}

class Other extends Own
{
    public function stream_open(string $path): bool
    {
        $this->text = 'left';
        return true;
    }
}

class Upper extends php_user_filter
{
    public function filter($in, $out, &$consumed, bool $closing): int
    {
        while ($bucket = stream_bucket_make_writeable($in)) {
            $bucket->data = strtoupper($bucket->data);
            $consumed += $bucket->datalen;
            stream_bucket_append($out, $bucket);
        }
        return PSFS_PASS_ON;
    }
}

function load(?string $public, string $system): string
{
    return $system;
}

/** As libraries do: when it is first used. */
function library(): string
{
    static $registered = false;
    if (!$registered) {
        stream_wrapper_register('library', Own::class);
        stream_filter_register('library', Upper::class);
        $registered = true;
    }
    return file_get_contents('php://filter/read=library/resource=library://');
}

/** Speaks when it goes. */
class Speaker
{
    public function __construct(private string $name)
    {
    }

    public function handle(): bool
    {
        return false;
    }

    public function __destruct()
    {
        echo "$this->name ";
    }
}

/** Each where a request could forget it. */
function leaveSpeakers(): void
{
    session_save_path($_SERVER['SCRATCH']);
    session_start();
    $_SESSION['speaker'] = new Speaker('session');
    $_GET['speaker'] = new Speaker('get');
    $_POST = new Speaker('post');
    $_COOKIE['speaker'] = new Speaker('cookie');
    $_SERVER['speaker'] = new Speaker('server');
    $_FILES['speaker'] = new Speaker('files');
    $_REQUEST['speaker'] = new Speaker('request');
    set_error_handler([new Speaker('an error handler'), 'handle']);
    ob_start(fn (string $said) => $said . get_class($_GET['speaker'] ?? new stdClass()) . ' ');
    $GLOBALS['changed'] = true;
}

class Handler
{
    public static bool $gone = false;

    public function handle(): bool
    {
        note('handled', 'by what is gone');
        return true;
    }

    // When the handler is put back to what it was before the request.
    public function __destruct()
    {
        self::$gone = true;
        str_repeat('x', 1 << 30);
    }
}

register_shutdown_function(function (): void {
    if (Handler::$gone) {
        trigger_error('an error at the end', E_USER_WARNING);
        restore_error_handler();
        trigger_error('another error at the end', E_USER_WARNING);
    }
});

class Deeper
{
    public function __toString(): string
    {
        return "deeper $this";
    }
}

function ticks(): int
{
    Left::$ticks = 0;
    eval('declare(ticks=1); $one = 1;');
    return Left::$ticks;
}

/** Everything that one request could see of another. */
function traces(): array
{
    $handler = set_error_handler(null);
    restore_error_handler();
    $exceptions = set_exception_handler(null);
    restore_exception_handler();
    $changing = ['REQUEST_TIME' => 1, 'REQUEST_TIME_FLOAT' => 1, 'REMOTE_PORT' => 1];
    $settings = ini_get_all(details: false);
    // Frameworks set these in some request and rely on them in later ones.
    $sessions = fn (string $name) => str_starts_with($name, 'session.');
    return [
        'intl' => intl_get_error_code(),
        'xml' => libxml_get_last_error(),
        'date' => date_get_last_errors(),
        'signals' => [pcntl_async_signals(), ...array_map(pcntl_signal_get_handler(...), [SIGTERM, SIGUSR1])],
        'autoloaded' => spl_autoload_extensions(),
        'assert callback' => assert_options(ASSERT_CALLBACK),
        'mysqli' => (new mysqli_driver())->report_mode,
        'collects' => gc_enabled(),
        'get' => $_GET,
        'post' => $_POST,
        'cookie' => $_COOKIE,
        'files' => $_FILES,
        'request' => $_REQUEST,
        'session' => $_SESSION ?? null,
        'session id' => session_id(),
        'session status' => session_status(),
        'server' => array_diff_key($_SERVER, $changing),
        'digest' => $_SERVER['PHP_AUTH_DIGEST'] ?? null,
        'kept environment' => $_ENV,
        'input' => file_get_contents('php://input'),
        'filter get' => filter_input(INPUT_GET, 'left'),
        'filter post' => filter_input(INPUT_POST, 'left'),
        'filter cookie' => filter_input(INPUT_COOKIE, 'left'),
        'filter server' => filter_input(INPUT_SERVER, 'HTTP_X_OWN'),
        'filter user' => filter_has_var(INPUT_SERVER, 'PHP_AUTH_USER'),
        'request headers' => array_diff_key(getallheaders(), ['Host' => 1]),
        'headers' => headers_list(),
        'status' => http_response_code(),
        'headers sent' => headers_sent(),
        'buffers' => ob_list_handlers(),
        'settings' => array_filter($settings, fn ($name) => !$sessions($name), ARRAY_FILTER_USE_KEY),
        'error reporting' => error_reporting(),
        'upload' => isset(Left::$upload) && (is_uploaded_file(Left::$upload) || file_exists(Left::$upload)),
        'temporary files' => glob(sys_get_temp_dir() . '/php*'),
        'error handler' => $handler !== null,
        'exception handler' => $exceptions !== null,
        'last error' => error_get_last(),
        'timezone' => date_default_timezone_get(),
        'locale' => setlocale(LC_ALL, '0'),
        'directory' => getcwd(),
        'umask' => umask(),
        // The first number of the seed that is left.
        'seed' => mt_rand() === 895547922,
        'ignore abort' => ignore_user_abort(),
        'connection' => connection_status(),
        'xml errors' => [libxml_use_internal_errors(), libxml_get_errors()],
        'xml loader' => libxml_get_external_entity_loader(),
        'xml file' => (string) simplexml_load_file('own://'),
        'xml string' => simplexml_load_string('<!DOCTYPE x SYSTEM "own://"><x/>', options: LIBXML_DTDLOAD) !== false,
        'wrappers' => array_map(fn ($name) => in_array($name, stream_get_wrappers()), ['http', 'glob']),
        'wrapped' => array_map(file_get_contents(...), ['own://', 'data://text/plain,']),
        'stream options' => stream_context_get_params(stream_context_get_default()),
        'encodings' => array_map(fn ($function) => $function(), ENCODINGS),
        'cut' => strtok(','),
        'json error' => json_last_error(),
        'ticks' => ticks(),
        'peak' => memory_get_peak_usage() > 32 << 20,
    ];
}

/** In all the ways there are. */
function changeServer(): void
{
    $_SERVER['HTTP_X_ONE'] = $_SERVER['ADDED'] = 'changed';
    unset($_SERVER['QUERY_STRING']);
    foreach ($_SERVER as &$value) {
        $value = 'changed';
    }
    $whole = &$_SERVER;
    $whole = ['changed'];
    Left::$leaked = &$_SERVER;
}

/** Leaves behind what it can. */
function leave(): void
{
    session_save_path($_SERVER['SCRATCH']);
    session_start();
    $_SESSION['left'] = 1;
    $_GET['more'] = $_POST['more'] = $_COOKIE['more'] = $_FILES['more'] = 'left';
    $_REQUEST['more'] = $_SERVER['MORE'] = 'left';
    header('X-Left: 1');
    header_register_callback(fn () => header('X-Callback: 1'));
    http_response_code(202);
    ini_set('precision', '3');
    ini_set('memory_limit', '-1');
    ini_set('display_errors', 'stderr');
    ini_set('user_agent', 'left');
    ini_set('default_charset', 'latin1');
    error_reporting(0);
    set_time_limit(7);
    set_error_handler(fn () => true);
    set_error_handler(fn () => true);
    set_exception_handler(fn () => null);
    @trigger_error('left');
    restore_error_handler();
    restore_error_handler();
    @trigger_error('left');
    set_error_handler(fn () => true);
    date_default_timezone_set('Asia/Tokyo');
    setlocale(LC_ALL, isset($_SERVER['SET_BY_BOOT']) ? 'C' : 'C.UTF-8');
    chdir('/');
    umask(0);
    mt_srand(1);
    mt_rand() === 895547922 || throw new LogicException('another generator');
    mt_srand(1);
    ignore_user_abort(false);
    // In both modes.
    @simplexml_load_string('<left');
    libxml_use_internal_errors(!libxml_use_internal_errors());
    @simplexml_load_string('<left');
    stream_context_set_default(['http' => ['user_agent' => 'left', 'method' => 'POST']]);
    libxml_set_streams_context(stream_context_create(['own' => ['xml' => 'left']]));
    libxml_set_external_entity_loader(fn () => null);
    @libxml_disable_entity_loader();
    stream_wrapper_unregister('own');
    stream_wrapper_register('own', Other::class);
    stream_wrapper_unregister('http');
    @stream_wrapper_restore('glob');
    if (isset($_SERVER['SET_BY_BOOT'])) {
        stream_wrapper_restore('data');
    } else {
        stream_wrapper_unregister('data');
    }
    stream_context_set_params(stream_context_get_default(), ['notification' => fn () => null]);
    array_map(fn ($function, $to) => $function($to), ENCODINGS, ['SJIS', 'SJIS', 'none', ['ASCII'], 'EUC-JP', 'z']);
    register_tick_function(fn () => Left::$ticks++);
    str_repeat('left', 8 << 20);
    strtok('left,left', ',');
    json_decode('{');
    pcntl_async_signals(!pcntl_async_signals());
    pcntl_signal(SIGTERM, SIG_IGN);
    pcntl_signal(SIGUSR1, fn () => null);
    pcntl_signal(SIGUSR1, SIG_IGN);
    spl_autoload_extensions('.left');
    bcscale(7);
    gc_disable();
    locale_set_default('de');
    set_include_path('/left');
    assert_options(ASSERT_CALLBACK, fn () => null);
    mysqli_report(MYSQLI_REPORT_ALL);
    register_shutdown_function(fn () => note('shutdown', $_SERVER['REQUEST_URI']));
    // More than what is kept in memory.
    $temporary = fopen('php://temp', 'w+');
    fwrite($temporary, str_repeat('left', 1 << 20));
    stream_filter_append($temporary, 'string.rot13');
    Left::$upload = $_FILES['file']['tmp_name'];
    is_uploaded_file(Left::$upload) || throw new LogicException('no upload');
    file_get_contents('php://input');
    filter_input(INPUT_POST, 'left') === 'left' || throw new LogicException('no filter input');
    grapheme_strlen("\xff") || intl_get_error_code() || throw new LogicException('no error of ICU');
    date_create('left') || date_get_last_errors() || throw new LogicException('no error of a date');
    ob_start(fn (string $text) => $text . '!');
    ob_start();
    echo 'left';
}

$handle = function () use (&$served): void {
    $served++;
    match ($_GET['do'] ?? 'hello') {
        'hello' => print('hello'),
        'traces' => reply(traces()),
        'leave' => leave(),
        'speakers' => leaveSpeakers(),
        'kept' => reply([
            'served' => $served,
            'global' => ++$GLOBALS['kept'],
            'static' => ++Left::$count,
            'constant' => BOOTED,
            'env' => getenv('KEPT_ENV'),
            'precision' => ini_get('precision'),
            'name' => $_SERVER['FRANKENPHP_WORKER_NAME'],
        ]),
        'server' => (function (): void {
            reply([$_SERVER, Left::$servers]);
            match ($_GET['then'] ?? '') {
                'change' => changeServer(),
                'keep' => Left::$servers[] = $_SERVER,
                'forget' => Left::$servers = [],
                '' => null,
            };
        })(),
        'rewrite' => (function (): void {
            if (isset($_GET['with'])) {
                output_add_rewrite_var('with', $_GET['with']);
            }
            echo '<form></form>';
        })(),
        'log' => (function (): void {
            if (isset($_GET['as'])) {
                openlog($_GET['as'], LOG_PERROR, LOG_USER);
            }
            syslog(LOG_WARNING, $_GET['text']);
        })(),
        'block signals' => (function (): void {
            // All but those that the C library keeps for itself.
            pcntl_sigprocmask(SIG_BLOCK, [...range(1, 31), ...range(34, 64)], $before);
            isset($_GET['sleep']) && sleep(600);
            reply($before);
        })(),
        'upload' => reply(array_map('md5_file', array_column($_FILES, 'tmp_name'))),
        'library' => print(library()),
        'session' => (function (): void {
            session_save_path($_SERVER['SCRATCH']);
            session_id('between');
            session_start();
            reply($_SESSION);
            $GLOBALS['between'] = session_id();
        })(),
        'filter' => (function (): void {
            $before = $_SERVER;
            $found = [];
            foreach (['REQUEST_URI', 'odd_name', 'odd.name', 'argv'] as $name) {
                $found[$name] = filter_input(INPUT_SERVER, $name);
            }
            reply([$found, $before === $_SERVER, $before['argv'] ?? null, isset($_SERVER['odd_name'])]);
        })(),
        'size' => print(filesize(scratch('file'))),
        'compress' => (function (): void {
            ini_get('zlib.output_compression') || ob_start('ob_gzhandler');
            echo 'hello';
        })(),
        'compress not' => (function (): void {
            ini_set('zlib.output_compression', '0');
            echo 'hello';
        })(),
        'input' => (function (): void {
            $before = Left::$input ? stream_get_contents(Left::$input) : null;
            Left::$input = fopen('php://input', 'r');
            reply([$before, fread(Left::$input, 4)]);
        })(),
        'echo' => print($_GET['n']),
        'leak' => (function (): void {
            Left::$leaked[] = str_repeat('x', 1 << 20);
            echo count(Left::$leaked);
        })(),
        'crash' => $served % (int) $_GET['every'] ? print('hello') : undefined_function(),
        'exit' => exit('said'),
        'throw' => throw new Left('on purpose'),
        'fatal' => undefined_function(),
        'handler' => (function (): void {
            set_error_handler([new Handler(), 'handle']);
            echo 'said';
        })(),
        'handler below' => (function (): void {
            set_error_handler([new Handler(), 'handle']);
            set_error_handler(fn () => true);
            echo 'said';
        })(),
        'exception handler' => (function (): void {
            set_exception_handler([new Handler(), 'handle']);
            echo 'said';
        })(),
        'memory' => str_repeat('x', 1 << 30),
        'recursion' => (function () {
            ini_set('memory_limit', '-1');
            echo new Deeper();
        })(),
        'loop' => (function () {
            while (true);
        })(),
        'sleep' => print(sleep((int) ($_GET['seconds'] ?? 600))),
        'stuck' => (function (): void {
            // In one call of the regular expression library, which looks at nothing meanwhile.
            ini_set('pcre.jit', '0');
            ini_set('pcre.backtrack_limit', (string) PHP_INT_MAX);
            preg_match('/^(x+x+)+[yz]/', str_repeat('x', 60));
        })(),
        'read' => (function () {
            [$mine, $other] = stream_socket_pair(STREAM_PF_UNIX, STREAM_SOCK_STREAM, 0);
            fread($mine, 1);
        })(),
        'wait' => (function () {
            note('waiting');
            await('go');
            echo 'waited';
        })(),
        'finish' => (function () {
            echo 'answer';
            fastcgi_finish_request();
            await('answered');
            note('after', 'went on');
        })(),
        'flush' => (function () {
            echo 'first';
            flush();
            await('first-seen');
            echo 'second';
        })(),
    };
};
$served = 0;
while (frankenphp_handle_request($handle)) {
    gc_collect_cycles();
    if (isset($changed)) {
        note('changed', json_encode([$_SERVER['QUERY_STRING'], $_GET, $_POST, $_COOKIE]));
        unset($changed);
    }
    if (isset($between)) {
        session_id($between);
        session_start();
        $_SESSION['of'] = 'the script';
        unset($between);
    }
}
note('ends', 'the loop ended');
