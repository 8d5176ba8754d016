<?php
// Runs once, when the server starts; what it declares is there in every request after that.
class Preloaded
{
    public const SINCE = 'the start';

    public static function says(): string
    {
        return 'preloaded';
    }
}

function preloaded(): string
{
    return 'as well';
}
