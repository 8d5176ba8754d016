//! Tasks whose time is over: deadlines, restarts, the server's stop.

use std::thread;

use serde_json::{Value, json};
use troupe_tests::{Client, Request, eventually};

use crate::{DIED, await_ends, await_note, children, meanwhile, play, pool, serving, task, two};

#[test]
fn a_task_past_its_deadline_is_aborted_and_a_worker_that_lets_go_of_it_lives_on() {
    let server = serving("task_deadline = \"50ms\"");
    let told = "the task ran for longer than its deadline of 50ms";
    let answer = play(&server, &task(json!({"do": "until given up"})));
    assert_eq!(answer, json!({"updates": [{"at": "work"}], "error": told}));
    eventually("the worker was told too", || {
        server
            .folder()
            .read("given up")
            .ends_with(&format!("{told}\n"))
            .then_some(())
    });
    await_ends(&server, "timed_out", 1.0);
    assert_eq!(
        play(&server, &task(json!({"do": "echo"})))["error"],
        Value::Null
    );
    assert_eq!(server.folder().read("boots"), "worker\n");
}

#[test]
fn a_worker_that_does_not_let_go_of_a_task_past_its_deadline_is_ended() {
    let server = serving("task_deadline = \"50ms\"");
    let answer = play(&server, &task(json!({"do": "never"})));
    assert_eq!(
        answer["error"],
        "the task ran for longer than its deadline of 50ms"
    );
    eventually("it was started again", || {
        (server.folder().read("boots") == "worker\nworker\n").then_some(())
    });
    assert_eq!(
        play(&server, &task(json!({"do": "echo"})))["error"],
        Value::Null
    );
}

#[test]
fn a_server_that_stops_lets_running_requests_finish_with_their_tasks() {
    let mut server = serving("");
    let waits = json!({"do": "wait", "for": "go on"});
    let page = meanwhile(&server, two(waits, json!({"do": "echo"})));
    await_note(&server, "both sent");
    server.signal(rustix::process::Signal::TERM);
    server.log().wait_text("stopping");
    server.folder().write("go on", "");
    let both = page.join().unwrap();
    assert_eq!(both[0]["error"], Value::Null);
    assert_eq!(both[1]["error"], Value::Null);
    assert!(server.wait().success());
}

#[test]
fn a_server_that_stops_gives_a_running_task_its_grace_and_refuses_a_queued_one() {
    let mut server = serving("grace = \"20s\"");
    assert_eq!(server.get("/page.php?do=answered").text(), "answered");
    server.signal(rustix::process::Signal::TERM);
    let refused = format!("\"{DIED}: the server is shutting down\"\n");
    assert_eq!(await_note(&server, "second"), refused);
    server.folder().write("go on", "");
    assert_eq!(await_note(&server, "first"), "null\n");
    assert!(server.wait().success());
}

#[test]
fn a_rolling_restart_ends_running_tasks_well_and_serves_queued_ones_afterwards() {
    let server = serving("grace = \"20s\"");
    let page = meanwhile(
        &server,
        two(json!({"do": "wait", "for": "go on"}), json!({"do": "echo"})),
    );
    await_note(&server, "both sent");
    let id = pool(&server)["id"].as_str().unwrap().to_owned();
    let admin = server.admin_address();
    let restart = thread::spawn(move || {
        let request = Request::new("POST", &format!("/nodes/{id}/restart"));
        Client::connect(&admin).request(&request)
    });
    eventually("the worker is asked to leave", || {
        let pool = pool(&server);
        let first = children(&pool).next().cloned();
        first.filter(|worker| worker["state"] == "draining")
    });
    server.folder().write("go on", "");
    let both = page.join().unwrap();
    assert_eq!(both[0]["error"], Value::Null);
    assert_eq!(both[1]["error"], Value::Null);
    restart.join().unwrap().expect(200);
    assert_eq!(server.folder().read("boots"), "worker\nworker\n");
}
