<?php
// WordPress on the private database of a test.

define('DB_NAME', 'wordpress');
define('DB_USER', 'root');
define('DB_PASSWORD', '');
define('DB_HOST', 'localhost:' . getenv('DB_SOCKET'));
define('DB_CHARSET', 'utf8mb4');
define('DB_COLLATE', '');
$table_prefix = 'wp_';

foreach (['AUTH', 'SECURE_AUTH', 'LOGGED_IN', 'NONCE'] as $purpose) {
    define("{$purpose}_KEY", "the key of a test: $purpose");
    define("{$purpose}_SALT", "the salt of a test: $purpose");
}

// Everything that PHP has to say goes to the log, nothing of it into pages.
define('WP_DEBUG', true);
define('WP_DEBUG_DISPLAY', false);

// The test's machine need not reach the world, but wp-cron must reach its own server.
define('WP_HTTP_BLOCK_EXTERNAL', true);
define('AUTOMATIC_UPDATER_DISABLED', true);

if (!defined('ABSPATH')) {
    define('ABSPATH', __DIR__ . '/');
}
require_once ABSPATH . 'wp-settings.php';
