<?php
// The background worker: scales the pictures it is sent, one width after the other.

function scale(string $bytes, array $widths): Generator
{
    $picture = imagecreatefromstring($bytes);
    foreach (array_values($widths) as $done => $width) {
        $copy = imagescale($picture, $width, -1, IMG_BICUBIC);
        ob_start();
        imagejpeg($copy, null, 85);
        yield [
            'percent' => intdiv(100 * ($done + 1), count($widths)),
            'width' => $width,
            'height' => imagesy($copy),
            'jpeg' => ob_get_clean(),          // bytes travel as they are
        ];
    }
}

$signals = frankenphp_worker_get_signaling_stream();

while (($signal = fgets($signals)) !== false && $signal !== "stop\n") {
    while ($task = frankenphp_worker_task_receive()) {
        [$stream, $payload] = $task;
        try {
            foreach (scale($payload['picture'], $payload['widths']) as $update) {
                frankenphp_worker_task_update($stream, $update);
            }
        } catch (RuntimeException $gone) {
            frankenphp_log('nobody waits for the picture any more', context: ['why' => $gone->getMessage()]);
        }
        fclose($stream);
    }
}
