//! The logs: what a record of a request holds, and how it looks.

#![allow(
    clippy::unwrap_used,
    reason = "in a test, what can't be done is a failure, and the panic says where"
)]

use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use troupe_tests::{Address, Client, Folder, Request, Setup, curl, eventually, troupe};

#[test]
fn a_request_has_one_record_with_all_that_is_known_of_it() {
    let server = Setup::serving("server").start();
    let request = Request::post("/hello.php?a=%20b", "text/plain", "body")
        .header("Host", "one.example:81")
        .header("User-Agent", "a \"test\"");
    server.send(&request).expect(200);
    let log = server.stop();
    let records = log.all_with("hello.php");
    assert_eq!(records.len(), 1, "{records:?}");
    let record = &records[0];
    for (name, value) in [
        ("target", "access"),
        ("level", "INFO"),
        ("client", "127.0.0.1"),
        ("method", "POST"),
        ("uri", "/hello.php?a=%20b"),
        ("version", "HTTP/1.1"),
        ("host", "one.example:81"),
        ("agent", "a \"test\""),
    ] {
        assert_eq!(record[name], value, "{name}");
    }
    assert_eq!(record["status"], 200);
    assert_eq!(record["bytes"], 5);
    assert_eq!(record["complete"], true);
    assert!(record["ms"].as_f64().unwrap() > 0.0);
    assert!(record["request"].as_u64().unwrap() > 0);
    let time = record["timestamp"].as_str().unwrap();
    assert!(time.starts_with("20") && time.ends_with('Z'), "{time}");
}

#[test]
fn an_answer_to_head_is_complete_without_a_byte() {
    let page = [b'x'; 2000];
    let server = Setup::with_files(&[("page.txt", &page)]).start();
    let url = format!("http://{}/page.txt", server.host());
    for protocol in ["--http1.1", "--http2-prior-knowledge"] {
        curl([protocol, "--head", &url]);
        curl([protocol, "--head", "--compressed", &url]);
        curl([protocol, "--head", &format!("{url}/missing")]);
    }
    let log = server.stop();
    let records = log.all(|record| record["method"] == "HEAD");
    assert_eq!(records.len(), 6, "{records:?}");
    for record in records {
        assert_eq!(record["bytes"], 0, "{record}");
        assert_eq!(record["complete"], true, "{record}");
    }
}

#[test]
fn people_get_lines_and_the_access_log_can_have_a_file_of_its_own_or_none() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/php/classic");
    for (access, in_log, in_file) in [
        ("log", true, false),
        ("access.log", false, true),
        ("off", false, false),
    ] {
        let folder = Folder::new();
        let config = folder.write(
            "troupe.toml",
            format!(
                "[server]\nlisten = \"unix:http.sock\"\nlog_format = \"human\"\naccess_log = {access:?}\n\
                 [admin]\nlisten = \"off\"\n[php.ini]\ndisplay_errors = \"0\"\n[[site]]\nroot = {root:?}\n"
            ),
        );
        let child = troupe()
            .args(["run", "--config"])
            .arg(config)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let socket = Address::Unix(folder.join("http.sock"));
        let mut client = eventually("it serves", || Client::try_connect(&socket).ok());
        client.request(&Request::get("/warning.php")).expect(200);
        drop(client);
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{text}");
        let line = |part: &str| text.lines().find(|line| line.contains(part));
        let warning = line("Undefined variable $undefined").unwrap_or(&text);
        assert!(warning.contains(" WARN php: "), "{warning}");
        assert!(warning.contains("warning.php on line 3"), "{warning}");
        assert!(warning.contains("request=1"), "{warning}");
        let record = line("uri=\"/warning.php\"").or(line("uri=/warning.php"));
        assert_eq!(record.is_some(), in_log, "{access}: {text}");
        let file = folder.read("access.log");
        assert_eq!(file.contains("/warning.php"), in_file, "{access}: {file}");
        assert!(!text.contains("\u{1b}["), "no colours outside a terminal");
    }
}
