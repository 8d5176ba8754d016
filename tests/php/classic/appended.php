<?php
echo ' appended';
