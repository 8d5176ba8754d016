<?php
// What was sent is kept apart from what a script makes of it.
$_SERVER['QUERY_STRING'] = 'changed';
unset($_SERVER['HTTP_HOST']);
echo json_encode([
    'sent' => filter_input(INPUT_SERVER, 'QUERY_STRING'),
    'filtered' => filter_input(INPUT_SERVER, 'QUERY_STRING', FILTER_SANITIZE_NUMBER_INT),
    'changed' => $_SERVER['QUERY_STRING'],
    'header' => filter_input(INPUT_SERVER, 'HTTP_X_OTHER'),
    'in server' => $_SERVER['HTTP_X_OTHER'],
    'has host' => filter_has_var(INPUT_SERVER, 'HTTP_HOST'),
    'own' => getenv('OWN_NAME'),
    'in env' => $_SERVER['OWN_NAME'],
]);
