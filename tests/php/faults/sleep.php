<?php
if (isset($_GET['limit'])) {
    set_time_limit((int) $_GET['limit']);
}
sleep(600);
