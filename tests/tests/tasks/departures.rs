//! Clients that leave while their request waits for a task.

use serde_json::json;
use troupe_tests::{Http2, Request, Server, eventually};

use crate::{await_note, serving, setup, task};

/// Begins a request whose task is at work, and lets its client leave.
fn leave(server: &Server, script: &str, query: &str) {
    let mut client = server.connect();
    client.send(&Request::get(&format!("/{script}?do=left&{query}")));
    await_note(server, "at work");
    if query.contains("finish") {
        assert_eq!(client.response().text(), "all there is");
    }
}

#[test]
fn a_client_that_leaves_cancels_the_tasks_of_its_request() {
    for script in ["page.php", "http.php"] {
        let server = setup("").worker("http.php", "num = 1").start();
        leave(&server, script, "task=until+given+up");
        let given_up = eventually("the worker is told", || {
            let text = server.folder().read("given up");
            (text.lines().count() == 2).then_some(text)
        });
        assert_eq!(
            given_up, "{\"readable\":1,\"eof\":true}\nthe sender has closed the task\n",
            "{script}"
        );
        let left = await_note(&server, "left");
        assert_eq!(
            left, "\"the client has gone away: its tasks were cancelled\"\n",
            "{script}"
        );
    }
}

#[test]
fn a_client_that_leaves_by_http_2_cancels_the_tasks_of_its_request() {
    for script in ["page.php", "http.php"] {
        let server = setup("").worker("http.php", "num = 1").start();
        let mut client = Http2::connect(&server);
        let mut turns = 0;
        // Before the answer has begun, and amid it.
        for begun in ["", "&begin"] {
            for ends_connection in [false, true] {
                turns += 1;
                let target = format!("/{script}?do=left{begun}&task=until+given+up");
                let stream = client.get(&target);
                if !begun.is_empty() {
                    assert_eq!(client.data(stream), b"begun");
                }
                let said = |note: &str, lines| {
                    let is_said = server.folder().read(note).lines().count() == lines;
                    is_said.then_some(())
                };
                eventually("the task is at work", || said("at work", turns));
                if ends_connection {
                    client = Http2::connect(&server);
                } else {
                    client.reset(stream);
                }
                eventually("the worker is told", || said("given up", 2 * turns));
                eventually("the script is told", || said("left", turns));
                let next = client.get(&format!("/{script}?{}", task(json!({"do": "nothing"}))));
                assert_eq!(client.text(next), "{\"updates\":[],\"error\":null}");
            }
        }
        eventually("two access records without an answer", || {
            let unanswered = server.log().all(|record| record["status"] == 499);
            (unanswered.len() == 2).then_some(())
        });
        let left = server.folder().read("left");
        let told = "\"the client has gone away: its tasks were cancelled\"\n";
        assert_eq!(left, told.repeat(turns), "{script}");
    }
}

#[test]
fn a_script_that_ignores_the_abort_keeps_its_tasks() {
    for script in ["page.php", "http.php"] {
        let server = setup("").worker("http.php", "num = 1").start();
        leave(&server, script, "ignore&task=wait");
        assert_eq!(await_note(&server, "gone"), "1\n");
        server.folder().write("go on", "");
        assert_eq!(await_note(&server, "left"), "null\n", "{script}");
    }
}

#[test]
fn a_client_that_has_its_whole_answer_may_leave() {
    let server = serving("");
    leave(&server, "page.php", "finish&task=wait");
    server.folder().write("go on", "");
    assert_eq!(await_note(&server, "left"), "null\n");
}
