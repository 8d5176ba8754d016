<?php
if (isset($_GET['after'])) {
    echo $_GET['after'];
}
$hog = str_repeat('x', 1 << 30);
