<?php
// A script begins in its own folder; what follows it runs in the server's, wherever the script went.
register_shutdown_function(fn () => print("\n" . getcwd()));
echo getcwd();
chdir('/');
