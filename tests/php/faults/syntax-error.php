<?php
echo 'before';
if (
