<?php
// $_GET is what parse_str() makes of the query, and filter_input() finds the same whatever became of $_GET.
parse_str($_SERVER['QUERY_STRING'], $parsed);
$got = $_GET;
$_GET = ['changed' => 'changed'];
echo json_encode([
    'as parse_str' => $got === $parsed,
    'as filter' => (filter_input_array(INPUT_GET) ?? []) === $parsed,
    'request' => $_REQUEST === $parsed,
    'after' => $_GET,
    'got' => $got,
], JSON_INVALID_UTF8_SUBSTITUTE);
