<?php
require __DIR__ . '/../shared.php';
reply($_SERVER);
