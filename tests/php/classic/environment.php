<?php
// Two of these run side by side; each sets the same variable to its own value.
require __DIR__ . '/../shared.php';

$own = $_GET['own'] ?? null;
if ($own !== null) {
    putenv("TROUPE_TEST_OWN=$own");
    note("set-$own");
    await("set-{$_GET['other']}");
}
reply([
    'own' => getenv('TROUPE_TEST_OWN'),
    'listed' => getenv()['TROUPE_TEST_OWN'] ?? null,
    'superglobal' => $_ENV['INHERITED'] ?? null,
    'inherited' => getenv('INHERITED'),
    'unset' => putenv('INHERITED') ? getenv('INHERITED') : null,
]);
