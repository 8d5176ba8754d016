<?php
// What the scripts of the end-to-end tests share.

/** A file of the running test's own folder. */
function scratch(string $name): string
{
    return $_SERVER['SCRATCH'] . '/' . $name;
}

/** Waits until the test, or another script, has made a file there. */
function await(string $name): void
{
    $limit = microtime(true) + 30;
    while (!file_exists(scratch($name))) {
        if (microtime(true) > $limit) {
            throw new RuntimeException("$name never came");
        }
        usleep(2000);
        clearstatcache();
    }
}

/** Appends a line to a file there. */
function note(string $name, string $text = ''): void
{
    file_put_contents(scratch($name), "$text\n", FILE_APPEND | LOCK_EX);
}

/** Answers with JSON. */
function reply(mixed $value): void
{
    header('Content-Type: application/json');
    echo json_encode($value, JSON_THROW_ON_ERROR | JSON_UNESCAPED_SLASHES);
}
