<?php
// The same in worker mode.
require_once __DIR__ . '/scenes.php';
while (frankenphp_handle_request(play(...))) {
}
