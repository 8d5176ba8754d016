<?php
// The same in worker mode.
require __DIR__ . '/read.php';
