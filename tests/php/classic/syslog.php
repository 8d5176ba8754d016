<?php
// Several of these run side by side, each with a name of its own.
require __DIR__ . '/../shared.php';

openlog($_GET['own'], LOG_PERROR, LOG_USER);
note("opened-{$_GET['own']}");
if (isset($_GET['awaits'])) {
    await($_GET['awaits']);
}
syslog(LOG_WARNING, "said by {$_GET['own']}");
