<?php
require __DIR__ . '/../shared.php';
note('waiting');
set_time_limit(0);
while (true);
