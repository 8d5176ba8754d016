<?php

declare(strict_types=1);

use function Demo\{duration, e, size, status, text};

/**
 * @var Demo\Served $served
 * @var bool $isHome
 */

$process = new Demo\Process();
$runtime = new Demo\Runtime();
$status = status($process);
$extensions = $runtime->extensions();
$software = text($_SERVER, 'SERVER_SOFTWARE');
$isTroupe = str_starts_with($software, 'Troupe/');
$name = text($_GET, 'name');
$message = text($_POST, 'message');
$file = $_FILES['file'] ?? null;

/** @param array<string, string> $rows */
$rows = static function (array $rows): void {
    foreach ($rows as $label => $value) {
        echo '<div><dt>', e($label), '</dt><dd>', e($value), "</dd></div>\n";
    }
};
?>
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title><?= $isHome ? 'Troupe is serving PHP' : 'Nothing here yet – Troupe' ?></title>
<link rel="icon" href="/assets/troupe.svg" type="image/svg+xml">
<link rel="stylesheet" href="/assets/demo.css">
<script src="/assets/demo.js" defer></script>
</head>
<body>
<header>
  <a class="brand" href="/"><img src="/assets/troupe.svg" alt="" width="36" height="36">Troupe</a>
  <span class="version"><?= e($software) ?> · PHP <?= e(PHP_VERSION) ?></span>
</header>

<main>
<section class="hero">
<?php if ($isHome) { ?>
  <p class="eyebrow"><span class="lamp"></span> 200 – served</p>
  <h1>PHP is on stage.</h1>
  <p class="lead">This page was made by <code><?= e(basename(text($_SERVER, 'SCRIPT_NAME')) ?: 'index.php') ?></code>
    in <strong><?= e(duration($served->seconds())) ?></strong><?php if ($process->thread() > 0) { ?>,
    on thread <strong><?= e($process->thread()) ?></strong> of process <?= e($process->id()) ?><?php } ?>,
    from <?= e($served->mode()) ?>.</p>
<?php } else { ?>
  <p class="eyebrow"><span class="lamp off"></span> 404 – but it reached PHP</p>
  <h1>Nothing here yet.</h1>
  <p class="lead">There is no file at <code><?= e($served->path()) ?></code>, so <code>index.php</code> got the request:
    this is how a framework’s router gets its paths. <a href="/">Back to the start</a></p>
<?php } ?>
<?php if (!$isTroupe) { ?>
  <p class="note">This is not Troupe (<?= e($software !== '' ? $software : PHP_SAPI) ?>): start it with <code>make run</code>.</p>
<?php } ?>
</section>

<section class="grid">
  <article>
    <h2>Your request</h2>
    <dl><?php $rows($served->variables()) ?></dl>
    <details>
      <summary><?= count($served->headers()) ?> request headers</summary>
      <dl><?php $rows($served->headers()) ?></dl>
    </details>
  </article>

  <article>
    <h2>This PHP</h2>
    <dl><?php $rows($runtime->facts()) ?></dl>
    <details>
      <summary><?= count($extensions) ?> extensions</summary>
      <ul class="tags">
<?php foreach ($extensions as $extension) { ?>
        <li><?= e($extension) ?></li>
<?php } ?>
      </ul>
    </details>
    <p><a href="/info.php">All of phpinfo()</a></p>
  </article>

  <article class="wide">
    <h2>What the server is doing <span class="live" hidden>live</span></h2>
    <dl class="inline" id="facts"><?php $rows($status['facts']) ?></dl>
<?php if ($status['threads'] !== []) { ?>
    <div class="scroll">
      <table>
        <thead><tr><th>Thread</th><th>Name</th><th>For</th><th>State</th><th class="number">Processor time</th></tr></thead>
        <tbody id="threads">
<?php foreach ($status['threads'] as $thread) { ?>
          <tr<?= $thread['serves'] ? ' class="serves"' : '' ?>>
            <td><?= e($thread['id']) ?></td>
            <td><?= e($thread['name']) ?></td>
            <td class="prose"><?= e($thread['role']) ?></td>
            <td><?= e($thread['serves'] ? 'served you' : $thread['state']) ?></td>
            <td class="number"><?= e(number_format($thread['seconds'], 2)) ?> s</td>
          </tr>
<?php } ?>
        </tbody>
      </table>
    </div>
<?php } ?>
  </article>

  <article>
    <h2>Try it</h2>
    <form action="/" method="get">
      <label for="name">A query</label>
      <div class="field"><input id="name" name="name" value="<?= e($name) ?>" placeholder="your name" maxlength="80"><button>Greet</button></div>
<?php if ($name !== '') { ?>
      <output>Hello, <?= e($name) ?>!</output>
<?php } ?>
    </form>
    <form action="/" method="post" enctype="multipart/form-data">
      <label for="message">A form with a file</label>
      <div class="field"><input id="message" name="message" value="<?= e($message) ?>" placeholder="a message" maxlength="200"><input type="file" name="file" aria-label="a file"><button>Send</button></div>
<?php if ($message !== '') { ?>
      <output>“<?= e($message) ?>” arrived.</output>
<?php } ?>
<?php if (is_array($file) && ($file['error'] ?? null) === UPLOAD_ERR_OK) { ?>
      <output><?= e(basename((string) $file['name'])) ?>: <?= e(size($file['size'])) ?>, SHA-256
        <code><?= e(hash_file('sha256', $file['tmp_name'])) ?></code></output>
<?php } ?>
    </form>
    <p><a href="/stream.php" id="stream">A response in pieces</a>: each <code>flush()</code> reaches you at once.</p>
    <pre id="streamed" hidden></pre>
    <p><a href="/any/path/you/like">A path that is no file</a> reaches <code>index.php</code>.</p>
  </article>

  <article>
    <h2>Where to go next</h2>
    <ol class="steps">
      <li>Serve your own application:
        <pre><code>troupe php-server --root path/to/public</code></pre></li>
      <li>Describe sites in a file, and check it:
        <pre><code>troupe check --config troupe.toml
troupe run --config troupe.toml</code></pre></li>
      <li>See who serves what:
        <pre><code>troupe tree --watch</code></pre></li>
      <li>Keep your application in memory, and let scripts work beside it: <code>docs/workers.md</code>, <code>docs/background-workers.md</code>.</li>
      <li>Read on: <code>docs/start.md</code>, <code>docs/configure.md</code>, <code>docs/operate.md</code>.</li>
      <li>This page is <code><?= e(dirname(text($_SERVER, 'SCRIPT_FILENAME'), 2)) ?></code>: change it and reload.</li>
    </ol>
  </article>
</section>
</main>

<footer>Rendered at <?= e(date('H:i:s T')) ?> in <?= e(duration($served->seconds())) ?>, <?= e(size(memory_get_peak_usage())) ?> of memory.</footer>
</body>
</html>
