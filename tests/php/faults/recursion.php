<?php
// For ever deeper: through PHP's own frames, through C, and at the end of a very long chain.
class Link
{
    public ?Link $next = null;
}

class Deeper
{
    public function __toString(): string
    {
        return "deeper $this";
    }
}

match ($_GET['kind']) {
    'functions' => (function () {
        function deeper(int $level): int
        {
            return 1 + deeper($level + 1);
        }
        deeper(0);
    })(),
    'callbacks' => (function () {
        $deeper = function ($value) use (&$deeper) {
            return array_map($deeper, [$value]);
        };
        $deeper(1);
    })(),
    'strings' => (function () {
        echo new Deeper();
    })(),
    'fiber' => (function () {
        $fiber = new Fiber(function () {
            Fiber::suspend();
            echo new Deeper();
        });
        $fiber->start();
        $fiber->resume();
    })(),
    'fibers' => (function () {
        // Each of them deep, and none too deep.
        $deep = function (int $levels) use (&$deep): int {
            return $levels === 0 ? Fiber::suspend(0) : 1 + array_sum(array_map($deep, [$levels - 1]));
        };
        $fibers = [];
        for ($i = 0; $i < 20; $i++) {
            $fibers[] = $fiber = new Fiber($deep);
            $fiber->start(1000);
        }
        foreach ($fibers as $fiber) {
            $fiber->resume(0);
        }
        echo array_sum(array_map(fn (Fiber $fiber) => $fiber->getReturn(), $fibers));
    })(),
    'at_the_end' => (function () {
        register_shutdown_function(function () {
            echo new Deeper();
        });
        echo 'body';
        flush();
    })(),
    'sorting' => (function () {
        $deeper = function ($a, $b) use (&$deeper) {
            $list = [1, 2];
            usort($list, $deeper);
            return 0;
        };
        $deeper(1, 2);
    })(),
    'matching' => (function () {
        $deeper = function () use (&$deeper) {
            return preg_replace_callback('/x/', $deeper, 'x');
        };
        $deeper();
    })(),
    'destruction' => (function () {
        $first = $last = new Link();
        for ($i = 0; $i < 1000000; $i++) {
            $last = $last->next = new Link();
        }
        unset($last, $first);
        echo 'destroyed';
    })(),
};
