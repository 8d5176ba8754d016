<?php
echo 'prepended ';
