<?php
require __DIR__ . '/../shared.php';
note('boots');
throw new RuntimeException('can not boot');
