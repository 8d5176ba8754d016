<?php
// The pool of 4 for requests: it answers with what it is sent.
while (frankenphp_handle_request(function () {
    echo file_get_contents('php://input');
})) {
}
