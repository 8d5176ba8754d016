<?php
$file = $_GET['file'] ?? '';
$serve = function () use (&$file) {
    $file = $_GET['file'] ?? '';
    switch ($_GET['do'] ?? '') {
        case 'headers':
            header('X-Twice: 1');
            header('X-Twice: 2', false);
            header('X-Replaced: old');
            header('x-replaced: new');
            header('X-Removed: 1');
            header_remove('x-removed');
            header('X-Empty:');
            header('No colon');
            @header("X-Injected: 1\r\nX-Evil: 1");
            setcookie('a', 'b c', ['httponly' => true]);
            header('Content-Type: text/plain;charset=UTF-8');
            header('X-Code: 1', true, 201);
            break;
        case 'status line':
            header('HTTP/1.1 404 Not here');
            break;
        case 'redirect':
            header('Location: /elsewhere');
            break;
        case 'code':
            http_response_code(418);
            break;
        case 'early':
            header('Link: </style.css>; rel=preload');
            headers_send(103);
            header('X-Later: 1');
            echo 'body';
            break;
        case 'finish':
            echo 'answer';
            fastcgi_finish_request();
            echo 'dropped';
            file_put_contents($file, 'later: ' . file_get_contents('php://input'));
            break;
        case 'aborted':
            register_shutdown_function(fn() => file_put_contents($file, 'status ' . connection_status()));
            while (true) {
                echo 'x';
                flush();
                usleep(1000);
            }
        case 'ignored':
            ignore_user_abort(true);
            while (!connection_aborted()) {
                echo 'x';
                flush();
                usleep(1000);
            }
            file_put_contents($file, 'went on');
            break;
        case 'upload':
            $upload = $_FILES['f'];
            echo $_POST['field'], ' ', $upload['name'], ' ', $upload['size'], ' ', filesize($upload['tmp_name']);
            break;
    }
};
if (isset($_SERVER['FRANKENPHP_WORKER_NAME'])) {
    while (frankenphp_handle_request($serve));
} else {
    $serve();
}
