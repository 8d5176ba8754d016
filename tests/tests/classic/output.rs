//! What a script writes on its way to the client, and a script whose client has enough.

use serde_json::{Value, json};
use troupe_tests::{Request, eventually};

use crate::{classic, serve};

#[test]
fn output_buffers_nest_and_open_ones_are_sent_at_the_end() {
    let server = serve();
    assert_eq!(server.get("/buffers.php").text(), "OUTER INNER 1");
    let buffered = classic().ini("output_buffering", "4096").start();
    let response = buffered.get("/hello.php");
    assert_eq!(response.text(), "hello");
}

#[test]
fn flush_reaches_the_client_at_once() {
    let server = serve();
    for encoding in ["identity", "gzip"] {
        let _ = std::fs::remove_file(server.folder().join("first-seen"));
        let mut client = server.connect();
        client.send(&Request::get("/flush.php").header("Accept-Encoding", encoding));
        let head = client.head();
        assert_eq!(head.status, 200);
        let first = client.chunk().unwrap();
        assert!(!first.is_empty());
        if encoding == "identity" {
            assert_eq!(first, b"first");
        }
        server.folder().write("first-seen", "");
        let mut rest = Vec::new();
        while let Some(chunk) = client.chunk() {
            rest.extend_from_slice(&chunk);
        }
        assert!(!rest.is_empty(), "{encoding}");
    }
}

#[test]
fn a_script_ends_when_its_client_has_left() {
    let server = serve();
    let mut client = server.connect();
    client.send(&Request::get("/aborted.php"));
    assert_eq!(client.head().status, 200);
    drop(client);
    eventually("the shutdown function ran", || {
        (server.folder().read("shutdown") == "aborted=1 status=1\n").then_some(())
    });
    // A request that is served after it, by whichever thread, proves nothing; the end of the server does.
    let folder = server.folder().path().to_owned();
    let went_on = folder.join("after");
    server.log().wait("the access record", |record| {
        record["uri"] == "/aborted.php" && record["complete"] == false
    });
    assert!(!went_on.exists());
}

#[test]
fn a_script_that_ignores_its_client_goes_on_without_it() {
    let server = serve();
    let mut client = server.connect();
    client.send(&Request::get("/aborted.php?ignore"));
    client.head();
    drop(client);
    eventually("the script has gone on", || {
        (server.folder().read("after") == "went on\n").then_some(())
    });
    eventually("and ended", || {
        (server.folder().read("shutdown") == "aborted=1 status=1\n").then_some(())
    });
}

#[test]
fn shutdown_functions_and_destructors_run_at_the_end_and_may_speak() {
    let server = serve();
    assert_eq!(
        server.get("/shutdown.php").text(),
        "script shutdown nested destructor"
    );
}

#[test]
fn a_script_goes_on_behind_an_answer_that_has_no_body() {
    let server = serve();
    let mut client = server.connect();
    for (method, status) in [("HEAD", 200), ("GET", 204), ("GET", 304)] {
        let target = format!("/bodyless.php?status={status}&method={method}");
        let response = client.request(&Request::new(method, &target));
        assert_eq!(response.status, status);
        let name = format!("{method} {status}");
        server.folder().write(&format!("seen {name}"), "");
        eventually("the script came to its end", || {
            (server.folder().read(&name) == "0\n").then_some(())
        });
    }
}

#[test]
fn the_client_has_its_whole_answer_when_fastcgi_finish_request_returns() {
    let server = serve();
    let mut client = server.connect();
    let request = Request::post("/finish.php", "text/plain", "a body");
    let response = client.request(&request).expect(200);
    assert_eq!(response.text(), "answer");
    assert_eq!(response.header("x-before"), Some("1"));
    // The connection is free for the next request while the script still runs.
    assert_eq!(client.request(&Request::get("/hello.php")).text(), "hello");
    assert_eq!(server.folder().read("after"), "");
    server.folder().write("answered", "");
    let after = eventually("the script went on", || {
        serde_json::from_str::<Value>(&server.folder().read("after")).ok()
    });
    assert_eq!(
        after,
        json!({"finished": true, "again": false, "body": 6, "headers_sent": true})
    );
}
