<?php
require __DIR__ . '/../shared.php';

$files = [];
foreach ($_FILES as $field => $file) {
    $files[$field] = [
        'name' => $file['name'],
        'size' => $file['size'],
        'error' => $file['error'],
        'uploaded' => is_uploaded_file($file['tmp_name']),
        'md5' => $file['error'] === UPLOAD_ERR_OK ? md5_file($file['tmp_name']) : null,
        'temporary' => $file['tmp_name'],
    ];
}
if (isset($_GET['keep'])) {
    $moved = move_uploaded_file($_FILES['file']['tmp_name'], scratch('kept'));
}
reply(['files' => $files, 'post' => $_POST, 'moved' => $moved ?? null]);
