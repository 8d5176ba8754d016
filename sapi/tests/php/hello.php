<?php
header('X-Made-By: ' . PHP_SAPI);
echo 'hello ', $_SERVER['WHO'] ?? 'nobody', ' ', $_GET['n'] ?? '-', ' ', file_get_contents('php://input');
