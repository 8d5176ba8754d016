<?php

// The same script for every server. In worker mode it answers in a loop, otherwise once.
function answer(): void
{
    parse_str($_SERVER['QUERY_STRING'] ?? '', $query);
    switch ($query['work'] ?? '') {
        case 'hello':
            echo 'Hello ', $_SERVER['REQUEST_URI'];
            break;
        case 'cpu':
            $hash = '';
            for ($i = 0; $i < $query['rounds']; $i++) {
                $hash = md5($hash . $i);
            }
            echo $hash;
            break;
        case 'sleep':
            usleep(5000);
            echo 'slept';
            break;
        case 'body':
            echo str_repeat('0123456789', 10240);
            break;
        case 'post':
            echo md5(file_get_contents('php://input'));
            break;
        case 'upload':
            echo md5_file($_FILES['file']['tmp_name']), ' for ', $_POST['who'];
            break;
        case 'vars':
            $vars = frankenphp_worker_get_vars($query['name']);
            echo count($vars), ' times ', strlen($vars[count($vars) - 1]);
            break;
        default:
            http_response_code(404);
    }
}

if (!empty($_SERVER['FRANKENPHP_WORKER'])) {
    while (frankenphp_handle_request(answer(...))) {
    }
} else {
    answer();
}
