<?php
ob_start(fn (string $text) => strtoupper($text));
echo 'outer ';
ob_start();
echo 'dropped';
ob_end_clean();
ob_start();
echo 'inner';
$inner = ob_get_clean();
echo $inner, ' ', ob_get_level();
// Still open at the end: PHP sends it.
