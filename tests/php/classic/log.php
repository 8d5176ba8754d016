<?php
frankenphp_log('plain');
frankenphp_log('debugging', FRANKENPHP_LOG_LEVEL_DEBUG);
frankenphp_log('careful', FRANKENPHP_LOG_LEVEL_WARN, ['user' => 7, 'nested' => ['a' => 'é']]);
frankenphp_log('broken', FRANKENPHP_LOG_LEVEL_ERROR, ['binary' => "\xff"]);
