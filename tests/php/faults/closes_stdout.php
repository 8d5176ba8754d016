<?php
$out = fopen('php://stdout', 'w');
fwrite($out, "a line on standard output\n");
fclose($out);
fclose(fopen('php://stderr', 'w'));
fclose(fopen('php://output', 'w'));
echo 'body';
