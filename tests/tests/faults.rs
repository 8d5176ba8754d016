//! Bad input and faults: a correct status for that client, a log line that says what and where, and nothing
//! for anyone else.

#![allow(
    clippy::unwrap_used,
    reason = "in a test, what can't be done is a failure, and the panic says where"
)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use troupe_tests::{Client, Http2, LIMIT, Request, Response, Server, Setup, curl, eventually};

fn faults() -> Setup {
    // One thread for the fault, one for everybody else.
    Setup::serving("faults")
        .php("threads = 2")
        .ini("display_errors", "0")
}

/// Lets `fault` happen while somebody else asks for one page after another, and gets every one of them.
#[track_caller]
fn harms_nobody<T>(server: &Server, fault: impl FnOnce() -> T) -> T {
    struct Enough<'a>(&'a AtomicBool);
    impl Drop for Enough<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let hello = |client: &mut Client| {
        let response = client.request(&Request::get("/hello.php"));
        assert_eq!((response.status, response.text()), (200, "hello"));
    };
    let enough = AtomicBool::new(false);
    let outcome = thread::scope(|scope| {
        let other = scope.spawn(|| {
            let mut client = server.connect();
            loop {
                hello(&mut client);
                if enough.load(Ordering::Relaxed) {
                    return;
                }
            }
        });
        let guard = Enough(&enough);
        let outcome = fault();
        drop(guard);
        other.join().unwrap();
        outcome
    });
    // Each thread in turn, the one that had the fault among them.
    for _ in 0..4 {
        hello(&mut server.connect());
    }
    outcome
}

/// What the server answers to these bytes.
fn answer(server: &Server, bytes: impl AsRef<[u8]>) -> Response {
    let mut client = server.connect();
    client.write(bytes);
    client.response()
}

#[test]
fn malformed_requests_are_refused_and_their_connection_is_closed() {
    let server = faults().start();
    harms_nobody(&server, || {
        for (what, request) in [
            ("no HTTP at all", "\x01\x02\x03\r\n\r\n"),
            ("no version", "GET /hello.php\r\n\r\n"),
            (
                "a version of the future",
                "GET /hello.php HTTP/3.0\r\nHost: a\r\n\r\n",
            ),
            (
                "a method that is no word",
                "G@T /hello.php HTTP/1.1\r\nHost: a\r\n\r\n",
            ),
            (
                "a space in the target",
                "GET /hello .php HTTP/1.1\r\nHost: a\r\n\r\n",
            ),
            ("no host", "GET /hello.php HTTP/1.1\r\n\r\n"),
            (
                "two hosts",
                "GET /hello.php HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
            ),
            (
                "a header without a colon",
                "GET /hello.php HTTP/1.1\r\nHost: a\r\nX\r\n\r\n",
            ),
            (
                "a space before the colon",
                "GET /hello.php HTTP/1.1\r\nHost: a\r\nX : 1\r\n\r\n",
            ),
            (
                "a folded header",
                "GET /hello.php HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n",
            ),
            (
                "a NUL in a header",
                "GET /hello.php HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n",
            ),
            (
                "a bare CR in a header",
                "GET /hello.php HTTP/1.1\r\nHost: a\r\nX: 1\r2\r\n\r\n",
            ),
        ] {
            let mut client = server.connect();
            client.write(request);
            assert_eq!(client.response().status, 400, "{what}");
            assert_eq!(client.rest(), b"", "{what}");
        }
    });
    let record = server.log().wait("its record", |record| {
        record["target"] == "access" && record["status"] == 400
    });
    assert_eq!(record["client"], "127.0.0.1", "{record}");
    assert!(
        record["message"]
            .as_str()
            .unwrap()
            .starts_with("no request: "),
        "{record}"
    );
}

#[test]
fn paths_and_hosts_that_make_no_sense_are_refused() {
    let server = faults().start();
    for (what, request) in [
        (
            "a path above the root",
            "GET /../hello.php HTTP/1.1\r\nHost: a\r\n\r\n",
        ),
        (
            "a NUL in the path",
            "GET /hello.php%00.jpg HTTP/1.1\r\nHost: a\r\n\r\n",
        ),
        ("half an escape", "GET /hello%2 HTTP/1.1\r\nHost: a\r\n\r\n"),
        (
            "a host that is a path",
            "GET /hello.php HTTP/1.1\r\nHost: a/b\r\n\r\n",
        ),
        (
            "a host with a user",
            "GET /hello.php HTTP/1.1\r\nHost: me@a\r\n\r\n",
        ),
    ] {
        assert_eq!(answer(&server, request).status, 400, "{what}");
    }
    for method in ["CONNECT a:80", "TRACE /hello.php"] {
        let request = format!("{method} HTTP/1.1\r\nHost: a:80\r\n\r\n");
        assert_eq!(answer(&server, request).status, 405, "{method}");
    }
}

#[test]
fn bodies_of_conflicting_or_senseless_length_are_refused() {
    let server = faults().start();
    harms_nobody(&server, || {
        for headers in [
            "Content-Length: 1\r\nContent-Length: 2\r\n",
            "Content-Length: 1, 2\r\n",
            "Content-Length: -1\r\n",
            "Content-Length: +1\r\n",
            "Content-Length: 0x1\r\n",
            "Content-Length: 99999999999999999999999\r\n",
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
            "Transfer-Encoding: gzip\r\n",
            "Transfer-Encoding: xchunked\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        ] {
            let mut client = server.connect();
            client.write(format!(
                "POST /hello.php HTTP/1.1\r\nHost: a\r\n{headers}\r\n\
                 0\r\n\r\nGET /smuggled.php HTTP/1.1\r\nHost: a\r\n\r\n"
            ));
            assert_eq!(client.response().status, 400, "{headers}");
            // Least of all is the rest taken for a request.
            assert_eq!(client.rest(), b"", "{headers}");
        }
    });
    assert!(server.stop().all_with("smuggled").is_empty());
}

#[test]
fn bad_chunking_is_refused() {
    let server = faults().start();
    harms_nobody(&server, || {
        for chunks in [
            "zz\r\nabc\r\n0\r\n\r\n",
            "3\r\nabcdef\r\n0\r\n\r\n",
            "-3\r\nabc\r\n0\r\n\r\n",
            "ffffffffffffffffff\r\nabc\r\n0\r\n\r\n",
        ] {
            let mut client = server.connect();
            client.write(format!(
                "POST /upload.php HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"
            ));
            assert_eq!(client.response().status, 400, "{chunks:?}");
            assert_eq!(client.rest(), b"", "{chunks:?}");
        }
    });
}

#[test]
fn a_body_that_goes_bad_while_it_is_read_is_no_complete_body() {
    let server = faults().start();
    let mut client = server.connect();
    client.write(
        "POST /upload.php HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    );
    eventually("the script reads", || {
        server
            .folder()
            .read("upload")
            .contains("begun")
            .then_some(())
    });
    client.write("nonsense\r\n");
    // Too late for a status when the server has hung up already; never a success.
    if let Ok(response) = client.try_response() {
        assert_eq!(response.status, 400);
    }
    eventually("the script has ended", || {
        server
            .folder()
            .read("upload")
            .contains("ended")
            .then_some(())
    });
    assert!(server.folder().read("upload").contains("read 3 aborted=1"));
}

#[test]
fn header_bombs_are_refused() {
    let server = faults().start();
    harms_nobody(&server, || {
        let large = format!("X-Large: {}\r\n", "a".repeat(70_000));
        let many: String = (0..1000).map(|n| format!("X-{n}: 1\r\n")).collect();
        for (what, headers) in [("large", large), ("many", many)] {
            let request = format!("GET /hello.php HTTP/1.1\r\nHost: a\r\n{headers}\r\n");
            assert_eq!(answer(&server, request).status, 431, "{what}");
        }
        // One that never ends: the server hangs up long before all of it is sent.
        let mut client = server.connect();
        client.write("GET /hello.php HTTP/1.1\r\nHost: a\r\n");
        let line = format!("X-Line: {}\r\n", "a".repeat(1000));
        let lines = 0..100_000;
        let refused = lines.into_iter().any(|_| client.try_write(&line).is_err());
        assert!(refused, "100 MB of headers were taken");
    });
}

#[test]
fn a_target_that_is_too_long_is_a_414_and_its_connection_goes_on() {
    let server = faults().server("header_size = \"10KiB\"").start();
    harms_nobody(&server, || {
        let mut client = server.connect();
        // Beyond our own limit; beyond what actix-http parses; beyond what it buffers.
        for length in [10_300, 70_000, 2_000_000] {
            let target = format!("/hello.php?a={}", "a".repeat(length));
            client.send(&Request::get(&target));
            assert_eq!(client.response().status, 414, "{length}");
            assert_eq!(client.request(&Request::get("/hello.php")).text(), "hello");
        }
    });
    let whole = server
        .log()
        .wait("its record", |record| record["status"] == 414);
    assert!(
        whole["uri"]
            .as_str()
            .unwrap()
            .starts_with("/hello.php?a=aaa")
    );
}

#[test]
fn options_of_the_server_itself_need_no_resource() {
    let server = faults().start();
    let mut client = server.connect();
    client.write("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
    let response = client.response().expect(204);
    assert!(response.header("allow").unwrap().contains("POST"));
    client.write("GET * HTTP/1.1\r\nHost: a\r\n\r\n");
    client.response().expect(400);
}

#[test]
fn a_client_that_never_finishes_its_headers_is_dropped() {
    let server = faults().server("header_read_timeout = \"300ms\"").start();
    harms_nobody(&server, || {
        let mut silent = server.connect();
        silent.write("GET /hello.php HTTP/1.1\r\nHost");
        let mut dripping = server.connect();
        dripping.write("GET /hello.php HTTP/1.1\r\nX: ");
        eventually("the dripping client is dropped", || {
            thread::sleep(std::time::Duration::from_millis(20));
            dripping.try_write("a").is_err().then_some(())
        });
        let refused = String::from_utf8(silent.rest()).unwrap();
        assert!(
            refused.is_empty() || refused.starts_with("HTTP/1.1 408 "),
            "{refused}"
        );
        // The second request of a connection is no exception.
        let mut second = server.connect();
        second.request(&Request::get("/hello.php")).expect(200);
        second.write("GET /hello.php HTTP/1.1\r\n");
        second.rest();
    });
}

#[test]
fn a_client_that_stops_sending_its_body_gets_a_408() {
    let server = faults().server("body_idle_timeout = \"300ms\"").start();
    harms_nobody(&server, || {
        for length in [10, 1_000_000] {
            let mut client = server.connect();
            client.write(format!(
                "POST /upload.php HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\nabc"
            ));
            assert_eq!(client.response().status, 408, "of {length}");
        }
    });
}

#[test]
fn slow_small_bodies_hold_up_no_thread() {
    let server = faults().php("max_threads = 2").start();
    let slow: Vec<_> = (0..10)
        .map(|_| {
            let mut client = server.connect();
            client.write("POST /upload.php HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc");
            client
        })
        .collect();
    harms_nobody(&server, || {
        assert_eq!(server.folder().read("upload"), "", "none has begun");
    });
    for mut client in slow {
        client.write("def");
        assert_eq!(client.response().expect(200).text(), "6");
    }
}

#[test]
fn a_client_that_reads_nothing_is_given_up() {
    let server = faults().server("write_idle_timeout = \"300ms\"").start();
    harms_nobody(&server, || {
        let mut client = server.connect();
        client.send(&Request::get("/download.php"));
        eventually("the script was told", || {
            (server.folder().read("download") == "aborted=1\n").then_some(())
        });
    });
}

#[test]
fn a_client_that_leaves_amid_its_upload_ends_the_script() {
    let server = faults().start();
    harms_nobody(&server, || {
        let mut client = server.connect();
        client.write("POST /upload.php HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
        client.write("x".repeat(100_000));
        eventually("the script reads", || {
            server
                .folder()
                .read("upload")
                .contains("begun")
                .then_some(())
        });
        drop(client);
        eventually("the script has ended", || {
            server
                .folder()
                .read("upload")
                .contains("ended")
                .then_some(())
        });
    });
    let seen = server.folder().read("upload");
    assert!(!seen.contains("aborted=0"), "{seen}");
}

#[test]
fn the_half_of_a_file_that_was_uploaded_is_removed() {
    let folder = troupe_tests::Folder::new();
    let temporary = folder.path().to_owned();
    let files = || std::fs::read_dir(&temporary).unwrap().count();
    let server = faults()
        .ini("upload_tmp_dir", temporary.to_str().unwrap())
        .start();
    harms_nobody(&server, || {
        let mut client = server.connect();
        client.write(
            "POST /upload.php HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\
             Content-Type: multipart/form-data; boundary=x\r\n\r\n\
             --x\r\nContent-Disposition: form-data; name=f; filename=f\r\n\r\n",
        );
        client.write("x".repeat(500_000));
        eventually("PHP writes it", || (files() == 1).then_some(()));
        drop(client);
        eventually("it is gone", || (files() == 0).then_some(()));
    });
    assert_eq!(server.folder().read("upload"), "", "the script has not run");
}

#[test]
fn a_client_that_leaves_amid_a_small_upload_starts_no_script() {
    let server = faults().start();
    let mut client = server.connect();
    client.write("POST /upload.php HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
    drop(client);
    server.log().wait("its access record", |record| {
        record["uri"] == "/upload.php" && record["status"] != 200
    });
    assert_eq!(server.folder().read("upload"), "");
}

#[test]
fn a_client_that_leaves_amid_its_download_ends_the_script() {
    let server = faults().start();
    harms_nobody(&server, || {
        let mut client = server.connect();
        client.send(&Request::get("/download.php"));
        assert_eq!(client.head().status, 200);
        client.bytes(100_000);
        drop(client);
        eventually("the script was told", || {
            (server.folder().read("download") == "aborted=1\n").then_some(())
        });
    });
    let record = server.log().wait("its access record", |record| {
        record["uri"] == "/download.php"
    });
    assert_eq!(record["complete"], false);
}

#[test]
fn a_client_that_leaves_its_download_by_http_2_ends_the_script() {
    let server = faults().start();
    let told = |times: usize| {
        eventually("the script was told", || {
            (server.folder().read("download") == "aborted=1\n".repeat(times)).then_some(())
        });
    };
    harms_nobody(&server, || {
        let mut client = Http2::connect(&server);
        let download = client.get("/download.php");
        client.data(download);
        client.reset(download);
        told(1);
        let hello = client.get("/hello.php");
        assert_eq!(client.text(hello), "hello", "the connection goes on");
        let download = client.get("/download.php");
        client.data(download);
        drop(client);
        told(2);
    });
    eventually("their access records", || {
        let incomplete = server
            .log()
            .all(|record| record["uri"] == "/download.php" && record["complete"] == false);
        (incomplete.len() == 2).then_some(())
    });
}

#[test]
fn bodies_beyond_the_limit_are_refused_whether_announced_or_not() {
    let server = faults().server("body_size = \"100KiB\"").start();
    harms_nobody(&server, || {
        let announced = "POST /upload.php HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n";
        assert_eq!(answer(&server, announced).status, 413);
        let mut client = server.connect();
        client.write("POST /upload.php HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        for _ in 0..20 {
            // It may hang up before it has read everything.
            if client
                .try_write(format!("2710\r\n{}\r\n", "x".repeat(0x2710)))
                .is_err()
            {
                break;
            }
        }
        assert_eq!(client.response().status, 413);
    });
}

#[test]
fn http_2_keeps_the_same_limits() {
    let server = faults().server("header_size = \"8KiB\"").start();
    let header = format!("X-Large: {}", "a".repeat(9000));
    let long = format!("/hello.php?{}", "a".repeat(9000));
    harms_nobody(&server, || {
        for (status, target, arguments) in [
            ("431", "/hello.php", ["-H", &header]),
            ("414", &long, ["-X", "GET"]),
            ("405", "/hello.php", ["-X", "TRACE"]),
            ("400", "/%00.php", ["-X", "GET"]),
            ("404", "/missing.php", ["-X", "GET"]),
            ("500", "/syntax-error.php", ["-X", "GET"]),
        ] {
            let url = format!("http://{}{target}", server.host());
            let http2 = [
                "--http2-prior-knowledge",
                "-o",
                "/dev/null",
                "-w",
                "%{http_code}",
            ];
            let answer = curl(http2.iter().chain(&arguments).chain([&url.as_str()]));
            assert_eq!(answer, status, "{target}");
        }
    });
}

#[test]
fn a_client_that_asks_first_need_not_send_a_body_that_is_too_large() {
    let server = faults().server("body_size = \"100KiB\"").start();
    let mut client = server.connect();
    client.write(
        "POST /upload.php HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\nExpect: 100-continue\r\n\r\n",
    );
    assert_eq!(client.response().status, 413, "and no 100 before it");
    assert_eq!(client.rest(), b"");
    server.log().wait("its record", |record| {
        record["uri"] == "/upload.php" && record["status"] == 413
    });
    assert_eq!(server.folder().read("upload"), "");
}

#[test]
fn a_body_that_nobody_reads_does_not_confuse_the_next_request() {
    let server = faults().start();
    for length in [10, 100_000, 1_000_000] {
        let mut client = server.connect();
        let body = "GET /smuggled.php HTTP/1.1\r\n".repeat(length / 28 + 1);
        client.send(&Request::post("/body_ignored.php", "text/plain", body));
        assert_eq!(client.response().expect(200).text(), "not read");
        // The server may close the connection instead of reading on.
        client
            .try_write("GET /hello.php HTTP/1.1\r\nHost: a\r\n\r\n")
            .ok();
        if let Ok(next) = client.try_response() {
            assert_eq!((next.status, next.text()), (200, "hello"));
        }
    }
    assert!(server.stop().all_with("smuggled").is_empty());
}

#[test]
fn a_missing_script_is_a_404() {
    let server = faults().start();
    harms_nobody(&server, || {
        for target in ["/missing.php", "/missing.php/info", "/missing/"] {
            server.get(target).expect(404);
        }
    });
}

#[test]
fn a_script_that_can_not_be_read_is_refused_and_the_log_names_it() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let setup = Setup::with_files(&[
        ("closed.php", b"<?php echo 'secret';"),
        ("hello.php", b"hello"),
    ]);
    let root = setup.root().to_owned();
    symlink("around.php", root.join("around.php")).unwrap();
    symlink("/etc/passwd", root.join("outside.php")).unwrap();
    std::fs::create_dir(root.join("folder.php")).unwrap();
    let closed = root.join("closed.php");
    std::fs::set_permissions(&closed, PermissionsExt::from_mode(0o0)).unwrap();
    let server = setup.start();
    harms_nobody(&server, || {
        // Nothing is closed to root.
        if std::fs::File::open(&closed).is_err() {
            server.get("/closed.php").expect(403);
            server.log().wait_text("/closed.php");
        }
        server.get("/outside.php").expect(403);
        server.log().wait("its record", |record| {
            record["path"] == "/outside.php" && record["level"] == "WARN"
        });
        let around = server.get("/around.php").status;
        assert!((400..500).contains(&around), "{around}");
        server.get("/folder.php").expect(404);
    });
}

#[test]
fn a_syntax_error_is_a_500_and_the_log_says_where() {
    let server = faults().start();
    harms_nobody(&server, || {
        let response = server.get("/syntax-error.php").expect(500);
        assert_eq!(response.text(), "");
    });
    let record = server.log().wait_text("PHP Parse error");
    let message = record["message"].as_str().unwrap();
    assert!(
        message.contains("faults/syntax-error.php on line"),
        "{message}"
    );
    assert_eq!(record["level"], "ERROR");
}

#[test]
fn a_script_that_runs_for_ever_is_ended_by_its_own_limit() {
    let server = faults().start();
    harms_nobody(&server, || {
        server.get("/loop.php?limit=1").expect(500);
    });
    let record = server
        .log()
        .wait_text("Maximum execution time of 1 second exceeded");
    assert!(record.to_string().contains("loop.php"), "{record}");
}

#[test]
fn time_asleep_counts_as_well() {
    let server = faults().start();
    harms_nobody(&server, || {
        server.get("/sleep.php?limit=1").expect(500);
    });
    let record = server
        .log()
        .wait_text("Maximum execution time of 1 second exceeded");
    assert!(record.to_string().contains("sleep.php"), "{record}");
}

#[test]
fn max_execution_time_holds_by_the_clock_from_the_settings_too() {
    let server = faults().ini("max_execution_time", "1").start();
    for script in ["loop.php", "sleep.php"] {
        harms_nobody(&server, || {
            server.get(&format!("/{script}")).expect(500);
        });
        let record = server.log().wait("its record", |record| {
            record
                .to_string()
                .contains("Maximum execution time of 1 second exceeded")
                && record.to_string().contains(script)
        });
        assert_eq!(record["level"], "ERROR");
    }
}

#[test]
fn the_servers_deadline_ends_whatever_a_script_is_in() {
    let server = faults().php("deadline = \"500ms\"").start();
    for call in ["loop", "sleep", "read", "select", "lock", "shutdown"] {
        harms_nobody(&server, || {
            server.get(&format!("/killed.php?in={call}")).expect(504);
        });
    }
}

#[test]
fn a_script_that_exhausts_its_memory_ends_alone() {
    let server = faults().ini("memory_limit", "32M").start();
    harms_nobody(&server, || {
        server.get("/memory.php").expect(500);
    });
    let record = server.log().wait_text("Allowed memory size");
    assert!(record.to_string().contains("memory.php"), "{record}");
}

#[test]
fn recursion_without_end_ends_alone() {
    let server = faults().start();
    for kind in ["functions", "callbacks", "sorting", "matching"] {
        harms_nobody(&server, || {
            server
                .get(&format!("/recursion.php?kind={kind}"))
                .expect(500);
        });
        server.log().wait("its record", |record| {
            record["level"] == "ERROR" && record.to_string().contains("recursion.php")
        });
    }
}

#[test]
fn recursion_to_the_end_of_the_stack_ends_alone() {
    let server = faults().start();
    // Twice for each thread: the end of a stack is watched again.
    for _ in 0..4 {
        harms_nobody(&server, || {
            server.get("/recursion.php?kind=strings").expect(500);
        });
    }
    let record = server.log().wait_text("Maximum call stack size");
    assert!(record.to_string().contains("recursion.php"), "{record}");
    assert_eq!(record["level"], "ERROR");
    for _ in 0..4 {
        harms_nobody(&server, || {
            server.get("/recursion.php?kind=fiber").expect(500);
        });
        let deep = server.get("/recursion.php?kind=fibers").expect(200);
        assert_eq!(deep.text(), "20000", "of fibers that come to no end");
    }
    let page = server.get("/recursion.php?kind=at_the_end").expect(200);
    assert_eq!(page.text(), "body", "in a shutdown function as well");
    server.get("/hello.php").expect(200);
}

#[test]
fn a_chain_of_a_million_objects_can_be_destroyed() {
    let server = faults().ini("memory_limit", "256M").start();
    let response = server.get("/recursion.php?kind=destruction").expect(200);
    assert_eq!(response.text(), "destroyed");
}

#[test]
fn exit_in_a_shutdown_function_ends_the_shutdown_functions() {
    let server = faults().start();
    harms_nobody(&server, || {
        let response = server.get("/exit_at_the_end.php").expect(200);
        assert_eq!(response.text(), "body shutdown");
    });
}

#[test]
fn exceptions_at_the_very_end_are_logged_with_their_place() {
    let server = faults().start();
    for (script, from) in [
        ("throwing_destructor.php", "from the destructor"),
        ("throwing_shutdown.php", "from the shutdown function"),
    ] {
        harms_nobody(&server, || {
            let response = server.get(&format!("/{script}"));
            assert_eq!(response.text(), "body", "{script}");
        });
        let record = server.log().wait_text(from);
        assert!(record.to_string().contains(script), "{record}");
    }
    harms_nobody(&server, || server.get("/throwing_buffer.php").expect(500));
    server.log().wait_text("from the output handler");
}

#[test]
fn a_script_that_closes_stdout_closes_nothing_of_the_servers() {
    let server = faults().start();
    harms_nobody(&server, || {
        for _ in 0..3 {
            let response = server.get("/closes_stdout.php").expect(200);
            assert_eq!(response.text(), "body");
        }
    });
    server.log().wait_text("a line on standard output");
    server.get("/syntax-error.php").expect(500);
    server.log().wait_text("PHP Parse error");
}

#[test]
fn a_flood_of_warnings_is_logged_and_the_page_is_served() {
    let server = faults().start();
    assert_eq!(server.get("/warnings.php").expect(200).text(), "done");
    server.log().wait_text("warning 999");
    assert_eq!(server.log().all_with("PHP Warning:  warning").len(), 1000);
}

#[test]
fn many_clients_that_vanish_leave_nothing_behind() {
    let server = faults().start();
    harms_nobody(&server, || {
        for turn in 0..200 {
            let mut client = server.connect();
            match turn % 4 {
                0 => {}
                1 => client.write("GET /hel"),
                2 => client.send(&Request::get("/hello.php")),
                _ => client.write(
                    "POST /upload.php HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nabc",
                ),
            }
        }
    });
    // Whatever runs must end by itself for the server to come to its end within the limit.
    let begun = std::time::Instant::now();
    server.stop();
    assert!(begun.elapsed() < LIMIT);
}
