//! Payloads, updates and the streams of both sides.

use serde_json::json;

use crate::{await_ends, play, serving, setup, task};

#[test]
fn payloads_of_tens_of_megabytes_travel_whole() {
    let server = setup("").ini("memory_limit", "512M").start();
    assert_eq!(play(&server, "do=big"), json!({"same": true, "then": null}));
}

#[test]
fn empty_arrays_and_texts_travel_too() {
    let server = serving("");
    let expected = json!([{"updates": [{"do": "echo", "list": [], "text": ""}], "error": null}]);
    assert_eq!(play(&server, "do=empty"), expected);
    assert_eq!(
        play(&server, &task(json!({"do": "nothing"}))),
        json!({"updates": [], "error": null})
    );
}

#[test]
fn a_non_blocking_stream_says_that_there_is_no_update_yet() {
    let server = serving("");
    let rest = json!({"updates": [{"at": "the end"}], "error": null});
    assert_eq!(
        play(&server, "do=nonblocking"),
        json!([{"at": "work"}, "no update yet", rest, true])
    );
}

#[test]
fn a_read_honours_the_timeout_of_its_stream() {
    let server = serving("");
    let rest = json!({"updates": [{"at": "the end"}], "error": null});
    let late = "RuntimeException: timeout waiting for an update of the task";
    assert_eq!(
        play(&server, "do=timeout"),
        json!([late, true, false, rest])
    );
}

#[test]
fn streams_of_others_and_of_the_wrong_side_are_refused() {
    let server = serving("max_queue = 8");
    let read = "ValueError: frankenphp_worker_task_read(): Argument #1 ($stream) must be";
    assert_eq!(
        play(&server, "do=wrong+streams"),
        json!([
            format!("{read} an open stream of a task"),
            format!("{read} an open stream of a task"),
            "RuntimeException: frankenphp_worker_task_update() can only be called in a background worker",
            "frankenphp_worker_task_read(): Argument #1 ($stream) must be the stream of a task that was sent, not of one received",
            "stream",
            "ValueError: frankenphp_worker_task_send(): Argument #1 ($name) must not be empty",
        ])
    );
}

#[test]
fn fgets_before_a_read_consumes_no_update() {
    let server = serving("");
    let all = json!({"updates": [{"n": 1}, {"n": 2}, {"n": 3}], "error": null});
    assert_eq!(
        play(&server, "do=fgets+first"),
        json!([["\n", "\n"], all, false, true])
    );
}

#[test]
fn many_tasks_and_sockets_are_awaited_together() {
    let server = serving("max_queue = 8");
    let said = play(&server, "do=select");
    let said = said.as_object().unwrap();
    assert_eq!(said.len(), 16);
    for n in 0..8 {
        assert_eq!(said[&format!("task {n}")], n);
        assert_eq!(said[&format!("socket {n}")], n);
    }
}

#[test]
fn a_sender_that_finds_the_queue_full_waits_no_longer_than_it_said() {
    let server = serving("");
    let late = "RuntimeException: timeout waiting for background worker: worker";
    assert_eq!(play(&server, "do=full"), json!([late, [null, null]]));
    await_ends(&server, "timed_out", 1.0);
}

#[test]
fn a_background_worker_sends_tasks_to_another_and_none_to_itself() {
    let server = setup("")
        .background("worker.php", "name = \"other\"\nnum = 0")
        .start();
    assert_eq!(
        play(&server, &task(json!({"do": "pass on", "to": "other"})))["updates"],
        json!([{"do": "echo", "from": "worker"}])
    );
    let refused = play(&server, &task(json!({"do": "send to yourself"})));
    assert!(
        refused["updates"][0]["refused"]
            .as_str()
            .unwrap()
            .contains("cannot send itself a task")
    );
}

#[test]
fn a_task_sent_as_an_object_is_received_by_a_function() {
    let server = serving("");
    assert_eq!(play(&server, "do=objects"), json!([1, 2]));
}
