<?php
class Fragile
{
    public function __destruct()
    {
        throw new LogicException('from the destructor');
    }
}
$fragile = new Fragile();
echo 'body';
