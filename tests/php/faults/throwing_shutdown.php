<?php
register_shutdown_function(fn () => throw new LogicException('from the shutdown function'));
echo 'body';
