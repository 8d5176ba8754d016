<?php
require __DIR__ . '/../shared.php';
note('order', $_GET['number']);
