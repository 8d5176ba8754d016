//! The demo that `make run` opens on.

#![allow(
    clippy::unwrap_used,
    reason = "in a test, what can't be done is a failure, and the panic says where"
)]

use troupe_tests::{Folder, Part, Request, Server, troupe};

fn demo() -> Server {
    let mut command = troupe();
    command
        .args([
            "php-server",
            "--listen",
            "127.0.0.1:0",
            "--admin",
            "off",
            "--root",
        ])
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../examples/demo/public"
        ));
    Server::spawn(command, Folder::new())
}

#[test]
fn the_page_shows_the_request_the_server_and_the_way_on() {
    let server = demo();
    let page = server.get("/?name=%3CAda%3E").expect(200);
    for part in [
        "200 – served",
        "from a clean state (classic mode)",
        "REQUEST_URI",
        "/?name=%3CAda%3E",
        "&lt;Ada&gt;",
        &server.host(),
        "What the server is doing",
        "watchdog",
        "Where to go next",
    ] {
        assert!(page.text().contains(part), "{part}");
    }
    assert!(!page.text().contains("<Ada>"));
    let file = Part {
        name: "file",
        file_name: Some("a.txt"),
        content: b"12345",
    };
    let message = Part {
        name: "message",
        file_name: None,
        content: b"a message",
    };
    let sent = server
        .send(&Request::multipart("/", &[message, file]))
        .expect(200);
    assert!(sent.text().contains("a message") && sent.text().contains("a.txt"));
    let elsewhere = server.get("/some/path").expect(404);
    assert!(elsewhere.text().contains("/some/path"));
}

#[test]
fn what_the_page_needs_is_there() {
    let server = demo();
    for asset in ["demo.css", "demo.js", "troupe.svg"] {
        server.get(&format!("/assets/{asset}")).expect(200);
    }
    let status = server.get("/status.php").expect(200).json();
    assert_eq!(status["facts"]["Process"], server.pid().to_string());
    let threads = status["threads"].as_array().unwrap();
    let names: Vec<_> = threads
        .iter()
        .map(|thread| thread["name"].as_str().unwrap())
        .collect();
    assert!(names.contains(&"supervision"), "{names:?}");
    let stream = server.get("/stream.php").expect(200);
    assert!(stream.text().ends_with("done\n"));
    server.get("/info.php").expect(200);
    assert!(server.stop().all_with("PHP ").is_empty());
}
