<?php
ob_start(fn () => throw new LogicException('from the output handler'));
echo 'body';
