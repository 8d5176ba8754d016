<?php
echo var_export(opcache_reset(), true);
