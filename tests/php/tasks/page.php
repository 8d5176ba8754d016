<?php
// Sends tasks and answers with what became of them.
require_once __DIR__ . '/scenes.php';
play();
