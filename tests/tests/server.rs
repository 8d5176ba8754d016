//! The server itself: connections, protocols, limits, signals.

#![allow(
    clippy::unwrap_used,
    reason = "in a test, what can't be done is a failure, and the panic says where"
)]

use std::sync::atomic::Ordering;
use std::time::Duration;
use std::{fs, io};

use rustix::process::Signal;
use troupe_tests::{
    Address, Client, Request, Server, Setup, curl, eventually, self_signed, troupe,
};

fn server() -> Setup {
    Setup::serving("server")
}

/// Starts a request that waits for the file `go`, and waits for it to run.
fn waiting(server: &Server) -> Client {
    let mut client = server.connect();
    client.send(&Request::get("/wait.php"));
    eventually("the script runs", || {
        (!server.folder().read("waiting").is_empty()).then_some(())
    });
    client
}

#[test]
fn a_connection_serves_many_requests() {
    let server = server().start();
    let mut client = server.connect();
    for _ in 0..100 {
        assert_eq!(client.request(&Request::get("/hello.php")).text(), "hello");
    }
    let last = client.request(&Request::get("/hello.php").header("Connection", "close"));
    assert_eq!(last.header("connection"), Some("close"));
    assert_eq!(client.rest(), b"");
}

#[test]
fn an_idle_connection_is_closed_after_a_while_and_an_unused_one_as_well() {
    let server = server()
        .server("keep_alive = \"200ms\"\nheader_read_timeout = \"200ms\"")
        .start();
    let mut used = server.connect();
    used.request(&Request::get("/hello.php")).expect(200);
    assert_eq!(used.rest(), b"");
    let mut unused = server.connect();
    let rest = String::from_utf8(unused.rest()).unwrap();
    assert!(
        rest.is_empty() || rest.starts_with("HTTP/1.1 408 "),
        "{rest}"
    );
}

#[test]
fn connections_beyond_the_limit_wait_until_another_closes() {
    let server = server()
        .server("io_threads = 1\nmax_connections = 2")
        .start();
    let mut open: Vec<_> = (0..2).map(|_| server.connect()).collect();
    for client in &mut open {
        client.request(&Request::get("/hello.php")).expect(200);
    }
    let mut third = server.connect();
    third.send(&Request::get("/vars.php?third"));
    for client in &mut open {
        client.request(&Request::get("/hello.php")).expect(200);
    }
    assert!(
        server
            .log()
            .find(|record| record["uri"] == "/vars.php?third")
            .is_none()
    );
    open.pop();
    assert_eq!(third.response().json()["QUERY_STRING"], "third");
}

#[test]
fn pipelined_requests_are_answered_in_their_order_and_each_by_its_own_method() {
    let server = server().start();
    let mut client = server.connect();
    client.send(&Request::get("/page.php"));
    client.send(&Request::head("/page.php"));
    client.send(&Request::form("/vars.php?n=1", "a=1"));
    client.send(&Request::get("/missing.txt"));
    client.send(&Request::get("/vars.php?n=2"));
    assert!(client.response().expect(200).text().starts_with("a page"));
    assert_eq!(client.response().expect(200).body, b"");
    assert_eq!(client.response().json()["QUERY_STRING"], "n=1");
    client.response().expect(404);
    assert_eq!(client.response().json()["QUERY_STRING"], "n=2");
}

#[test]
fn an_http_1_0_client_gets_its_answer_and_a_closed_connection() {
    let server = server().start();
    let mut client = server.connect();
    client.write("GET /page.php HTTP/1.0\r\n\r\n");
    let response = client.response().expect(200);
    assert_eq!(response.header("transfer-encoding"), None);
    assert_eq!(response.text().len(), 26_000);
    assert_eq!(client.rest(), b"");
}

#[test]
fn an_http_1_0_client_gets_no_chunks() {
    let script = b"<?php echo 'one '; flush(); echo 'two';";
    let server = Setup::with_files(&[("stream.php", script)]).start();
    for connection in ["close", "keep-alive"] {
        let mut client = server.connect();
        client.write(format!(
            "GET /stream.php HTTP/1.0\r\nConnection: {connection}\r\n\r\n"
        ));
        let head = client.head();
        assert_eq!(head.header("transfer-encoding"), None);
        assert_eq!(head.header("connection"), None);
        assert_eq!(client.rest(), b"one two");
    }
}

#[test]
fn a_client_that_would_like_another_protocol_is_told_that_its_connection_ends() {
    let server = server().start();
    let mut client = server.connect();
    let request = Request::get("/hello.php")
        .header("Connection", "Upgrade, HTTP2-Settings")
        .header("Upgrade", "h2c")
        .header("HTTP2-Settings", "");
    let response = client.request(&request).expect(200);
    assert_eq!(response.header("connection"), Some("close"));
    assert_eq!(client.rest(), b"");
}

#[test]
fn what_follows_a_request_to_upgrade_is_not_its_body() {
    let script = b"<?php echo strlen(file_get_contents('php://input'));";
    let server = Setup::with_files(&[("length.php", script)]).start();
    for length in [0, 10, 100_000] {
        let mut client = server.connect();
        let announced = match length {
            0 => String::new(),
            length => format!("Content-Length: {length}\r\n"),
        };
        client.write(format!(
            "POST /length.php HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{announced}\r\n"
        ));
        // In two pieces, of which the first is not all there is.
        client.write("x".repeat(length / 2));
        std::thread::sleep(std::time::Duration::from_millis(20));
        client.write("x".repeat(length - length / 2));
        assert_eq!(client.response().expect(200).text(), length.to_string());
    }
}

#[test]
fn http_2_is_spoken_by_prior_knowledge() {
    let server = server().start();
    let url = format!("http://{}/vars.php?a=1", server.host());
    let form = ["--data", "b=2", "-H", "Cookie: c=3", "-H", "Cookie: d=4"];
    let answer = curl(["--http2-prior-knowledge", &url].iter().chain(&form));
    let vars: serde_json::Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(vars["SERVER_PROTOCOL"], "HTTP/2.0");
    assert_eq!(vars["REQUEST_METHOD"], "POST");
    assert_eq!(vars["HTTP_COOKIE"], "c=3; d=4");
    assert_eq!(vars["HTTP_HOST"], server.host());
    assert_eq!(vars["CONTENT_LENGTH"], "3");
}

#[test]
fn tls_is_spoken_with_the_given_certificate_in_both_protocols() {
    let setup = server();
    let (cert, key) = self_signed(setup.folder(), "localhost");
    let server = setup
        .listen(&["tls:127.0.0.1:0"])
        .server(&format!("tls_cert = {cert:?}\ntls_key = {key:?}"))
        .start();
    let url = format!("https://{}/vars.php", server.host());
    for (protocol, name) in [("--http1.1", "HTTP/1.1"), ("--http2", "HTTP/2.0")] {
        let answer = curl([protocol, "--cacert", cert.to_str().unwrap(), &url]);
        let vars: serde_json::Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(vars["SERVER_PROTOCOL"], name);
        assert_eq!(vars["HTTPS"], "on");
        assert_eq!(vars["SSL_PROTOCOL"], "TLSv1.3");
        assert!(vars["SSL_CIPHER"].as_str().unwrap().starts_with("TLS_"));
    }
}

#[test]
fn a_unix_socket_serves_and_is_gone_after_the_stop() {
    let setup = server();
    let path = setup.folder().join("http.sock");
    let server = setup.listen(&["unix:http.sock", "127.0.0.1:0"]).start();
    let mut client = Client::connect(&Address::Unix(path.clone()));
    assert_eq!(client.request(&Request::get("/hello.php")).text(), "hello");
    drop(client);
    assert_eq!(server.addresses().len(), 2);
    let mut client = Client::connect(&server.addresses()[1]);
    assert_eq!(client.request(&Request::get("/hello.php")).text(), "hello");
    drop(client);
    server.stop();
    assert!(!path.exists());
}

#[test]
fn responses_are_compressed_as_the_client_likes() {
    let server = server().start();
    let url = format!("http://{}/page.php", server.host());
    for encoding in ["gzip", "br", "zstd"] {
        let accept = format!("Accept-Encoding: {encoding}");
        let page = Request::get("/page.php").header("Accept-Encoding", encoding);
        let response = server.send(&page).expect(200);
        assert_eq!(response.header("content-encoding"), Some(encoding));
        assert!(response.body.len() < 2600, "{encoding}");
        let decoded = curl(["--compressed", "-H", &accept, &url]);
        assert_eq!(
            decoded,
            "a page that shrinks well. ".repeat(1000),
            "{encoding}"
        );
    }
    let plain = server.get("/page.php");
    assert_eq!(plain.header("content-encoding"), None);
}

#[test]
fn requests_beyond_the_queue_are_sent_away_until_later() {
    let server = server()
        .php("threads = 1\nmax_threads = 1")
        .server("queue_length = 1")
        .start();
    let mut first = waiting(&server);
    let mut second = server.connect();
    second.send(&Request::get("/hello.php"));
    eventually("it is in the queue", || {
        let tree = server.admin(&Request::get("/tree")).json().to_string();
        tree.contains("\"depth\":1").then_some(())
    });
    let refused = server.get("/hello.php");
    assert_eq!(refused.status, 503);
    assert!(
        refused
            .header("retry-after")
            .unwrap()
            .parse::<u64>()
            .unwrap()
            >= 1
    );
    server.folder().write("go", "");
    assert_eq!(first.response().expect(200).text(), "waited");
    assert_eq!(second.response().expect(200).text(), "hello");
}

#[test]
fn requests_that_wait_are_served_in_the_order_they_came() {
    let server = server().php("threads = 1\nmax_threads = 1").start();
    let mut first = waiting(&server);
    let mut waiting: Vec<Client> = (1..=20)
        .map(|number| {
            let mut client = server.connect();
            client.send(&Request::get(&format!("/note.php?number={number}")));
            eventually("it is in the queue", || {
                let metrics = server.admin(&Request::get("/metrics"));
                let depth = format!("frankenphp_queue_depth {number}");
                let mut lines = metrics.text().lines();
                lines.any(|line| line == depth).then_some(())
            });
            client
        })
        .collect();
    server.folder().write("go", "");
    first.response().expect(200);
    for client in &mut waiting {
        client.response().expect(200);
    }
    let order: Vec<String> = (1..=20).map(|number| number.to_string()).collect();
    let served = server.folder().read("order");
    assert_eq!(served.lines().collect::<Vec<_>>(), order);
}

#[test]
fn a_slow_script_holds_up_no_other_while_a_thread_is_free() {
    let server = server().php("threads = 2\nmax_threads = 2").start();
    let mut slow = waiting(&server);
    server.under_load(8, "/hello.php", "hello", |answers| {
        eventually("others are answered", || {
            (answers.load(Ordering::SeqCst) >= 500).then_some(())
        });
    });
    server.folder().write("go", "");
    assert_eq!(slow.response().expect(200).text(), "waited");
}

#[test]
fn a_request_that_waits_too_long_for_a_thread_is_sent_away() {
    let server = server()
        .php("threads = 1\nmax_threads = 1")
        .server("max_wait_time = \"200ms\"")
        .start();
    let mut first = waiting(&server);
    let refused = server.get("/hello.php").expect(503);
    assert!(refused.header("retry-after").is_some());
    server.folder().write("go", "");
    assert_eq!(first.response().expect(200).text(), "waited");
}

#[test]
fn threads_are_added_while_requests_wait() {
    let server = server().php("threads = 1\nmax_threads = 2").start();
    let mut first = waiting(&server);
    assert_eq!(server.get("/hello.php").expect(200).text(), "hello");
    server.folder().write("go", "");
    first.response().expect(200);
}

#[test]
fn the_server_says_whether_it_is_alive_and_ready() {
    let server = server().start();
    eventually("it is ready", || {
        (server.admin(&Request::get("/readyz")).status == 200).then_some(())
    });
    server.admin(&Request::get("/healthz")).expect(200);
    let page = Request::get("/tree").header("Origin", "http://evil.example");
    server.admin(&page).expect(403);
}

#[test]
fn sigterm_lets_a_running_request_end_and_takes_no_new_one() {
    let mut server = server().start();
    let mut running = waiting(&server);
    server.signal(Signal::TERM);
    let address = server.address().clone();
    eventually("no new connection is served", || {
        let Ok(mut client) = Client::try_connect(&address) else {
            return Some(());
        };
        client
            .try_write(Request::get("/hello.php").to_bytes("a"))
            .ok();
        client.try_response().is_err().then_some(())
    });
    server.folder().write("go", "");
    let response = running.response().expect(200);
    assert_eq!(response.text(), "waited");
    assert!(server.wait().success());
}

#[test]
fn a_second_sigterm_stops_at_once() {
    let mut server = server().start();
    let _running = waiting(&server);
    server.signal(Signal::TERM);
    server.log().wait_text("stopping");
    server.signal(Signal::TERM);
    assert_eq!(server.wait().code(), Some(1));
}

#[test]
fn a_script_that_never_ends_does_not_keep_the_server_from_stopping() {
    for script in ["/loop.php", "/loop.php?asleep"] {
        let server = server().server("shutdown_grace = \"300ms\"").start();
        let mut client = server.connect();
        client.send(&Request::get(script));
        eventually("the script runs", || {
            (!server.folder().read("waiting").is_empty()).then_some(())
        });
        let log = server.stop();
        log.wait_text("its worker stops and the grace period is over");
    }
}

#[test]
fn sigusr1_opens_the_logs_anew_and_sighup_reloads() {
    let setup = server();
    let log = setup.folder().join("access.log");
    let server = setup.server("access_log = \"access.log\"").start();
    server.get("/hello.php?old").expect(200);
    eventually("it is logged", || {
        server
            .folder()
            .read("access.log")
            .contains("?old")
            .then_some(())
    });
    std::fs::rename(&log, server.folder().join("rotated.log")).unwrap();
    server.signal(Signal::USR1);
    eventually("the log is opened anew", || log.exists().then_some(()));
    server.get("/hello.php?new").expect(200);
    eventually("it is logged in the new file", || {
        server
            .folder()
            .read("access.log")
            .contains("?new")
            .then_some(())
    });
    assert!(!server.folder().read("rotated.log").contains("?new"));
    server.signal(Signal::HUP);
    server.log().wait_text("every worker was restarted");
    server.get("/hello.php").expect(200);
}

/// How often its threads woke up, but for those of the network: actix-http looks at the clock twice a second.
fn wake_ups(server: &Server) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap();
    let wake_ups = |task: io::Result<fs::DirEntry>| {
        let status = fs::read_to_string(task.unwrap().path().join("status")).unwrap();
        let field = |name| status.lines().find_map(|line| line.strip_prefix(name));
        let is_network = field("Name:").unwrap().trim().starts_with("actix-rt");
        let count: u64 = field("voluntary_ctxt_switches:")
            .unwrap()
            .trim()
            .parse()
            .unwrap();
        if is_network { 0 } else { count }
    };
    tasks.map(wake_ups).sum()
}

#[test]
fn an_idle_server_sleeps() {
    let server = Setup::serving("workers")
        .worker("worker.php", "num = 2\nslow_log = \"1s\"")
        .start();
    server.get("/worker.php");
    eventually("a second in which nothing wakes", || {
        let before = wake_ups(&server);
        std::thread::sleep(Duration::from_secs(1));
        (wake_ups(&server) == before).then_some(())
    });
}

#[test]
fn sites_are_told_apart_by_their_hosts() {
    let other = concat!(env!("CARGO_MANIFEST_DIR"), "/php/classic");
    let server = server()
        .site("hosts = [\"one.example\"]")
        .and(&format!(
            "[[site]]\nhosts = [\"*.two.example\"]\nroot = {other:?}"
        ))
        .start();
    let root = |host: &str| {
        let target = match host {
            "one.example" => "/vars.php",
            _ => "/server.php",
        };
        let response = server
            .send(&Request::get(target).header("Host", host))
            .expect(200);
        response.json()["DOCUMENT_ROOT"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert!(root("one.example").ends_with("/php/server"));
    assert!(root("www.two.example").ends_with("/php/classic"));
    server
        .send(&Request::get("/hello.php").header("Host", "three.example"))
        .expect(421);
}

#[test]
fn a_taken_address_is_an_error_that_names_it() {
    let server = server().start();
    let output = troupe()
        .args(["php-server", "--admin", "off", "--listen", &server.host()])
        .output()
        .unwrap();
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains(&server.host()), "{text}");
}
