<?php
set_time_limit((int) $_GET['limit']);
while (true);
