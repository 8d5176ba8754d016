<?php
// The HTTP worker: the page, the upload, and the task's updates as server-sent events.

const WIDTHS = [1600, 1280, 1024, 800, 640, 480, 320, 240, 160, 80];

function place(string $id): string
{
    return sys_get_temp_dir() . "/troupe-resizer-$id";
}

function event(string $name, array $data): void
{
    echo "event: $name\ndata: ", json_encode($data), "\n\n";
    flush();
}

function upload(): void
{
    $picture = file_get_contents('php://input');
    if (strlen($picture) > 16 << 20 || !@getimagesizefromstring($picture)) {
        http_response_code(422);
        echo 'That is no picture, or one of more than 16 MB.';
        return;
    }
    $id = bin2hex(random_bytes(16));
    file_put_contents(place($id), $picture);
    header('Content-Type: application/json');
    echo json_encode(['id' => $id]);
}

function progress(string $id): void
{
    if (!preg_match('/^[0-9a-f]{32}$/', $id) || !is_file(place($id))) {
        http_response_code(404);
        return;
    }
    $picture = file_get_contents(place($id));
    unlink(place($id));
    header('Content-Type: text/event-stream');
    header('Cache-Control: no-store');
    // Gone with the client: whoever closes the page has the task cancelled.
    $task = frankenphp_worker_task_send('resizer', ['picture' => $picture, 'widths' => WIDTHS]);
    try {
        while (($update = frankenphp_worker_task_read($task)) !== null) {
            event('copy', ['jpeg' => base64_encode($update['jpeg'])] + $update);
        }
        event('done', []);
    } catch (RuntimeException $e) {
        event('failed', ['why' => $e->getMessage()]);
    }
}

function serve(): void
{
    $path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
    match (true) {
        $path === '/' => readfile(__DIR__ . '/page.html'),
        $path === '/upload' && $_SERVER['REQUEST_METHOD'] === 'POST' => upload(),
        $path === '/progress' => progress($_GET['id'] ?? ''),
        default => http_response_code(404),
    };
}

while (frankenphp_handle_request(serve(...))) {
}
