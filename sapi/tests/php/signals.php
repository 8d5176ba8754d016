<?php
switch ($_GET['do']) {
    case 'install':
        $caught = fn() => null;
        echo json_encode([
            pcntl_signal(SIGTERM, $caught), pcntl_signal(SIGINT, $caught), pcntl_signal(SIGUSR1, SIG_IGN),
            pcntl_signal_get_handler(SIGTERM) === $caught,
        ]);
        break;
    case 'exec':
        echo json_encode([@pcntl_exec('/bin/true'), @pcntl_alarm(1)]);
        break;
    case 'fork':
        $child = pcntl_fork();
        if ($child === 0) {
            // Everything a child may try: none of it may reach the client of the parent, or hang.
            header('X-From: child');
            frankenphp_log('a word from the child');
            file_put_contents($_GET['file'], 'the child was here');
            register_shutdown_function(fn() => file_put_contents($_GET['file'], ' and left', FILE_APPEND));
            exit(7);
        }
        pcntl_waitpid($child, $status);
        echo pcntl_wexitstatus($status), ' ', file_get_contents($_GET['file']);
        break;
    case 'proc_open':
        $process = proc_open(['cat'], [['pipe', 'r'], ['pipe', 'w']], $pipes);
        fwrite($pipes[0], 'through a child');
        fclose($pipes[0]);
        echo stream_get_contents($pipes[1]), ' ', proc_close($process), ' ', trim(shell_exec('echo and a shell; exit 3'));
        echo ' ', exec('exit 3', result_code: $code), $code;
        break;
}
