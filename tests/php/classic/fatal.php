<?php
if (isset($_GET['after'])) {
    echo $_GET['after'];
}
undefined_function();
