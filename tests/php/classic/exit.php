<?php
register_shutdown_function(fn () => print(' shutdown'));
http_response_code(203);
echo 'before ';
if (isset($_GET['code'])) {
    exit(3);
}
exit('said');
