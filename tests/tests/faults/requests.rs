//! Requests that are none, or ask for what can not be.

use troupe_tests::{Request, curl};

use crate::{answer, faults, harms_nobody};

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
