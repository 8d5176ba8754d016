<?php
require __DIR__ . '/../shared.php';
note('waiting');
set_time_limit(0);
if (isset($_GET['asleep'])) {
    sleep(600);
}
while (true);
