<?php
// The same, from a clean state for each request.
require __DIR__ . '/check.php';
