<?php
echo 'classic ', $_GET['n'] ?? '';
