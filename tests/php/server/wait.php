<?php
require __DIR__ . '/../shared.php';
note('waiting');
await('go');
echo 'waited';
