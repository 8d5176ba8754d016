<?php
for ($i = 0; $i < 1000; $i++) {
    trigger_error("warning $i", E_USER_WARNING);
}
echo 'done';
