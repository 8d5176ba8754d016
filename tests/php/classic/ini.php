<?php
require __DIR__ . '/../shared.php';
$before = ini_get($_GET['name']);
$set = ini_set($_GET['name'], $_GET['value'] ?? '');
reply(['before' => $before, 'set' => $set !== false, 'after' => ini_get($_GET['name'])]);
