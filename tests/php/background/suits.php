<?php
// The enums that workers and their readers share, and those that they don't.
enum Colour { case Red; case Green; }
enum Suit: string { case Hearts = 'h'; case Spades = 's'; }
enum Size: int { case Large = 3; }

function enum_only_here(): void
{
    enum OnlyHere { case Known; }
}

function enum_with_more(): void
{
    enum Changing { case Old; case Added; }
}

function enum_with_less(): void
{
    enum Changing { case Old; }
}

/** One of every kind of value. */
function everything(): array
{
    return [
        'null' => null, 'true' => true, 'false' => false, 'int' => PHP_INT_MIN, 'float' => -0.1,
        'infinite' => -INF, 'bytes' => "\0\xff'\n", 'empty' => '', 'one' => 'a', 'list' => [1, [], ['x']],
        'gaps' => [3 => 'three', 'k' => 'v', -1 => 'less'], "key\0\xfe" => 1, '' => 'no key',
        'pure' => Colour::Red, 'backed' => [Suit::Spades, Size::Large],
    ];
}
