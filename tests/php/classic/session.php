<?php
require __DIR__ . '/../shared.php';
session_save_path($_SERVER['SCRATCH']);
session_start();
$_SESSION['visits'] = ($_SESSION['visits'] ?? 0) + 1;
reply(['visits' => $_SESSION['visits'], 'id' => session_id()]);
