//! Workers that end with tasks in hand.

use serde_json::{Value, json};
use troupe_tests::{Request, Setup, eventually};

use crate::{DIED, await_ends, await_note, meanwhile, play, pool, serving, task, tasks, two};

#[test]
fn a_worker_that_exits_with_three_tasks_in_hand_aborts_all_three() {
    let server = serving("max_queue = 4");
    let lost = |name: &str| json!({"updates": [{"said": name}], "error": DIED});
    assert_eq!(
        play(&server, "do=three"),
        json!([lost("a"), lost("b"), lost("c")])
    );
    await_ends(&server, "aborted", 3.0);
}

#[test]
fn no_way_to_end_a_script_looks_like_a_completion() {
    let server = serving("");
    for end in ["throw", "exit", "fatal", "memory", "drop"] {
        let answer = play(&server, &task(json!({"do": end})));
        assert_eq!(answer["error"], DIED, "{end}");
    }
    let kept = play(&server, &task(json!({"do": "throw"})));
    assert_eq!(
        kept["updates"],
        json!([{"said": "before"}]),
        "what was said before is read"
    );
    await_ends(&server, "completed", 0.0);
}

#[test]
fn a_thread_that_is_killed_amid_a_task_aborts_it() {
    let server = serving("");
    let page = meanwhile(&server, task(json!({"do": "never"})));
    await_note(&server, "received");
    let id = pool(&server)["id"].as_str().unwrap().to_owned();
    server
        .admin(&Request::new("POST", &format!("/nodes/{id}/kill")))
        .expect(200);
    assert_eq!(page.join().unwrap()["error"], DIED);
    assert_eq!(
        play(&server, &task(json!({"do": "echo"})))["error"],
        Value::Null
    );
}

#[test]
fn a_worker_that_is_killed_while_it_waits_to_send_completes_nothing() {
    let server = serving("");
    let id = pool(&server)["id"].as_str().unwrap().to_owned();
    for round in 1..=3 {
        let page = meanwhile(&server, format!("do=held+up&round={round}"));
        eventually("the worker waits", || {
            let sent = tasks(&server).pop()?["task"]["updates_sent"].as_u64();
            (server.folder().read("held up").lines().count() == round && sent == Some(17))
                .then_some(())
        });
        let kill = Request::new("POST", &format!("/nodes/{id}/kill"));
        server.admin(&kill).expect(200);
        server.folder().write(&format!("killed {round}"), "");
        assert_eq!(page.join().unwrap(), DIED, "round {round}");
    }
}

#[test]
fn a_thread_of_two_that_exits_leaves_queued_tasks_to_its_sibling() {
    let server = Setup::serving("tasks")
        .php("threads = 8")
        .background("worker.php", "name = \"worker\"\nnum = 2\nmax_queue = 8")
        .start();
    let busy = meanwhile(&server, task(json!({"do": "wait", "for": "go on"})));
    await_note(&server, "received");
    let exiting = meanwhile(
        &server,
        two(
            json!({"do": "wait", "for": "exit now"}),
            json!({"do": "exit"}),
        ),
    );
    await_note(&server, "both sent");
    let queued: Vec<_> = (0..3)
        .map(|n| meanwhile(&server, task(json!({"do": "echo", "n": n}))))
        .collect();
    eventually("they wait", || {
        (pool(&server)["queue"]["depth"] == 4).then_some(())
    });
    server.folder().write("exit now", "");
    assert_eq!(exiting.join().unwrap()[1]["error"], DIED);
    for (n, page) in queued.into_iter().enumerate() {
        assert_eq!(page.join().unwrap()["updates"][0]["n"], n);
    }
    server.folder().write("go on", "");
    assert_eq!(busy.join().unwrap()["error"], Value::Null);
}
