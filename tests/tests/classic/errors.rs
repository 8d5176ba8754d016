//! Scripts that end before their time, and what the log says of it.

use serde_json::{Value, json};

use crate::{classic, serve};

#[test]
fn a_script_that_exceeds_its_memory_is_a_500_and_a_log_line() {
    let server = classic().ini("memory_limit", "32M").start();
    server.get("/memory.php").expect(500);
    let record = server
        .log()
        .wait_text("Allowed memory size of 33554432 bytes exhausted");
    assert_eq!(record["level"], "ERROR");
    assert!(record["request"].is_u64(), "{record}");
    let message = record["message"].as_str().unwrap();
    assert!(message.contains("classic/memory.php"), "{message}");
    assert!(message.contains("line 5"), "{message}");
    assert_eq!(server.get("/hello.php").text(), "hello");
}

#[test]
fn exit_ends_the_request_and_nothing_else() {
    let server = serve();
    let response = server.get("/exit.php").expect(203);
    assert_eq!(response.text(), "before said shutdown");
    let response = server.get("/exit.php?code").expect(203);
    assert_eq!(response.text(), "before  shutdown");
}

#[test]
fn an_uncaught_error_is_a_500_that_keeps_its_details_for_the_log() {
    let server = classic().ini("display_errors", "0").start();
    assert_eq!(server.get("/fatal.php").expect(500).text(), "");
    // Without a buffer, output sends the headers on their way.
    let late = server.get("/fatal.php?after=output").expect(200);
    assert_eq!(late.text(), "output");
    let record = server
        .log()
        .wait_text("undefined function undefined_function()");
    let message = record["message"].as_str().unwrap();
    assert!(message.contains("classic/fatal.php:5"), "{message}");
    assert_eq!(record["level"], "ERROR");

    let shown = classic().ini("display_errors", "1").start();
    let response = shown.get("/fatal.php").expect(500);
    assert!(response.text().contains("undefined_function"));
}

#[test]
fn warnings_and_error_log_go_to_the_log_with_the_requests_number() {
    let server = classic().ini("display_errors", "0").start();
    assert_eq!(server.get("/warning.php").expect(200).text(), "went on");
    let line = server.log().wait_text("a line of the script");
    let warning = server.log().wait_text("Undefined variable $undefined");
    let access = server.log().wait("the access record", |record| {
        record["uri"] == "/warning.php"
    });
    assert_eq!(line["request"], access["request"]);
    assert_eq!(warning["request"], access["request"]);
    assert_eq!(warning["level"], "WARN");
    let message = warning["message"].as_str().unwrap();
    assert!(message.contains("warning.php on line 3"), "{message}");
}

#[test]
fn frankenphp_log_writes_structured_records() {
    let server = classic().server("log_level = \"debug\"").start();
    server.get("/log.php").expect(200);
    for (message, level) in [
        ("plain", "INFO"),
        ("debugging", "DEBUG"),
        ("careful", "WARN"),
        ("broken", "ERROR"),
    ] {
        let record = server
            .log()
            .wait(message, |record| record["message"] == message);
        assert_eq!(record["level"], level, "{record}");
        assert!(record["request"].is_u64(), "{record}");
    }
    let careful = server.log().wait_text("careful");
    let context = careful["context"].as_str().unwrap();
    let context: Value = serde_json::from_str(context).unwrap();
    assert_eq!(context, json!({"user": 7, "nested": {"a": "é"}}));
}
