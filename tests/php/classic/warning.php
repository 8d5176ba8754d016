<?php
error_log('a line of the script');
echo $undefined;
echo 'went on';
