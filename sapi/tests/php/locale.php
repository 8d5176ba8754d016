<?php
// escapeshellarg() leaves out what is no character in the locale of LC_CTYPE.
$tell = fn() => setlocale(LC_CTYPE, 0) . ' ' . escapeshellarg('é');
if (isset($_GET['port'])) {
    $changed = setlocale(LC_ALL, 'C') . ' ' . json_encode(setlocale(LC_ALL, 'xx_XX'));
    echo basename(readlink('/proc/thread-self')), "\n";
    flush();
    fgets(fsockopen('127.0.0.1', $_GET['port']));
    echo $changed, ' ', $tell(), ' ', setlocale(LC_ALL, 0);
} else {
    echo $tell(), ' ', str_replace(';', ' ', setlocale(LC_ALL, 0));
}
