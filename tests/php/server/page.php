<?php
echo str_repeat('a page that shrinks well. ', 1000);
