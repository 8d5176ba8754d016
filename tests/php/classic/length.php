<?php
// Sends 18 bytes in two pieces, whatever was announced.
header("Content-Length: $_GET[announced]");
echo 'ten bytes.';
flush();
echo 'and ten.';
