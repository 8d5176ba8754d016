//! What the server's process keeps of requests: nothing.

#![allow(
    clippy::unwrap_used,
    reason = "in a test, what can't be done is a failure, and the panic says where"
)]

use std::thread;

use troupe_tests::{Part, Request, Server, Setup};

/// Resident memory of the server's process, in bytes.
fn resident(server: &Server) -> u64 {
    let statm = std::fs::read_to_string(format!("/proc/{}/statm", server.pid())).unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

/// Open descriptors of the server's process.
fn descriptors(server: &Server) -> usize {
    let folder = std::fs::read_dir(format!("/proc/{}/fd", server.pid()));
    folder.unwrap().count()
}

/// Requests of every kind by four clients, who come anew every 25 requests.
fn serve(server: &Server, requests: usize) {
    const CLIENTS: usize = 4;
    let file = [Part {
        name: "file",
        file_name: Some("a.bin"),
        content: &[7; 100_000],
    }];
    let kinds = [
        (200, Request::get("/hello.php")),
        (200, Request::get("/server.php/path/info?a=1")),
        (200, Request::form("/superglobals.php?a=1", "b=2&c[]=3")),
        (200, Request::post("/input.php", "text/plain", "body")),
        (200, Request::multipart("/upload.php", &file)),
        (
            200,
            Request::get("/phpinfo.php").header("Accept-Encoding", "gzip"),
        ),
        (200, Request::get("/headers.php?form=cookies")),
        (200, Request::get("/warning.php")),
        (203, Request::get("/exit.php")),
        (404, Request::get("/missing.txt")),
        (500, Request::get("/fatal.php")),
        (400, Request::get("/%00")),
    ];
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut client = server.connect();
                for n in 0..requests / CLIENTS {
                    if n % 25 == 0 {
                        client = server.connect();
                    }
                    let (status, request) = &kinds[n % kinds.len()];
                    client.request(request).expect(*status);
                }
            });
        }
    });
}

#[test]
fn ten_thousand_requests_of_every_kind_leave_no_memory_and_no_descriptor_behind() {
    const REQUESTS: usize = 10_000;
    const SLACK: u64 = 4 << 20;
    let server = Setup::serving("classic")
        .php("threads = 2")
        .ini("display_errors", "0")
        .start();
    // Caches fill, and each thread's memory gets its size.
    serve(&server, REQUESTS / 2);
    let (memory, open) = (resident(&server), descriptors(&server));
    serve(&server, REQUESTS);
    let grown = resident(&server).saturating_sub(memory);
    assert!(
        grown < SLACK,
        "{REQUESTS} requests left {grown} bytes behind"
    );
    // A connection that was closed a moment ago may not be forgotten yet.
    let now = descriptors(&server);
    assert!(now <= open + 8, "{open} descriptors became {now}");
}

#[test]
fn a_payload_that_its_worker_has_no_memory_for_is_not_kept() {
    const TASKS: usize = 6;
    const BYTES: u64 = 64 << 20;
    let worker = b"<?php
        ini_set('memory_limit', '8M');
        $signals = frankenphp_worker_get_signaling_stream();
        while (fgets($signals) === \"task\\n\") {
            frankenphp_worker_task_receive();
        }";
    let page = b"<?php
        $task = frankenphp_worker_task_send('eater', [str_repeat('x', (int) $_GET['bytes'])]);
        try {
            frankenphp_worker_task_read($task);
        } catch (RuntimeException $end) {
            echo $end->getMessage();
        }";
    let server = Setup::with_files(&[("worker.php", worker), ("page.php", page)])
        .ini("memory_limit", "512M")
        .background(
            "worker.php",
            "name = \"eater\"\nnum = 1\nbackoff_max = \"100ms\"",
        )
        .start();
    let before = resident(&server);
    for _ in 0..TASKS {
        let page = server.get(&format!("/page.php?bytes={BYTES}"));
        assert!(page.expect(200).text().contains("without completing"));
    }
    let grown = resident(&server).saturating_sub(before);
    assert!(
        grown < 2 * BYTES,
        "{TASKS} payloads left {grown} bytes behind"
    );
}
