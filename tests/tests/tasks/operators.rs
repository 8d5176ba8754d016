//! What operators see of tasks and do to them.

use std::thread;

use serde_json::{Value, json};
use troupe_tests::{Request, Server, eventually};

use crate::{await_ends, await_note, children, meanwhile, play, pool, serving, task, tasks, two};

fn cancel(server: &Server, node: &Value) -> troupe_tests::Response {
    let id = node["id"].as_str().unwrap();
    server.admin(&Request::new("POST", &format!("/nodes/{id}/cancel")))
}

#[test]
fn the_tree_shows_every_task_with_its_state_until_it_has_ended() {
    let server = serving("");
    let waits = json!({"do": "wait", "for": "go on"});
    let page = meanwhile(&server, two(waits, json!({"do": "nothing"})));
    await_note(&server, "both sent");
    let seen = eventually("both are in the tree", || {
        let tasks = tasks(&server);
        (tasks.len() == 2 && tasks[1]["state"] == "queued").then_some(tasks)
    });
    assert_eq!(seen[0]["state"], "running");
    assert_eq!(seen[0]["name"], "worker");
    let running = &seen[0]["task"];
    assert!(
        running["sender"]
            .as_str()
            .unwrap()
            .starts_with("/page.php?do=two")
    );
    assert!(
        running["worker"]
            .as_str()
            .unwrap()
            .ends_with(":background:worker:1")
    );
    assert_eq!(
        (&running["updates_sent"], &running["updates_read"]),
        (&json!(1), &json!(1))
    );
    assert!(running["age_ms"].is_u64());
    assert_eq!(seen[1]["task"]["worker"], Value::Null);
    let worker = pool(&server);
    assert_eq!(
        (&worker["running"], &worker["queue"]["depth"]),
        (&json!(1), &json!(1))
    );
    let picture = server.admin(&Request::get("/tree?format=text"));
    assert!(
        picture.text().contains("updates 1/1 read"),
        "{}",
        picture.text()
    );

    server.folder().write("go on", "");
    page.join().unwrap();
    eventually("no task is left", || {
        tasks(&server).is_empty().then_some(())
    });
    let worker = pool(&server);
    assert_eq!(
        (&worker["running"], &worker["queue"]["depth"]),
        (&json!(0), &json!(0))
    );
}

#[test]
fn no_actor_is_left_of_many_short_tasks() {
    let server = serving("max_queue = 4");
    let actors = server.metric("troupe_actors");
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = server.connect();
                for n in 0..50 {
                    let query = task(json!({"do": "echo", "n": n}));
                    let answer = client.request(&Request::get(&format!("/page.php?{query}")));
                    assert_eq!(answer.expect(200).json()["updates"][0]["n"], n);
                }
            });
        }
    });
    await_ends(&server, "completed", 200.0);
    eventually("every task's actor has ended", || {
        (server.metric("troupe_actors") == actors && tasks(&server).is_empty()).then_some(())
    });
}

#[test]
fn an_operator_cancels_a_running_task_and_both_ends_are_told() {
    let server = serving("");
    let page = meanwhile(&server, task(json!({"do": "until given up"})));
    await_note(&server, "received");
    let node = eventually("it runs", || {
        tasks(&server)
            .pop()
            .filter(|task| task["state"] == "running")
    });
    cancel(&server, &node).expect(200);
    let told = "the task was cancelled by the operator";
    assert_eq!(page.join().unwrap()["error"], told);
    eventually("the worker was told too", || {
        (server.folder().read("given up") == format!("{{\"readable\":1,\"eof\":true}}\n{told}\n"))
            .then_some(())
    });
    await_ends(&server, "cancelled", 1.0);
    cancel(&server, &node).expect(404);
    assert_eq!(
        play(&server, &task(json!({"do": "nothing"})))["error"],
        Value::Null
    );
    assert_eq!(
        server.folder().read("boots"),
        "worker\n",
        "the worker lives on"
    );
}

#[test]
fn an_operator_cancels_a_task_that_waits_by_the_command_line() {
    let server = serving("");
    let page = meanwhile(
        &server,
        two(json!({"do": "wait", "for": "go on"}), json!({"do": "echo"})),
    );
    await_note(&server, "both sent");
    let node = eventually("it is queued", || {
        tasks(&server)
            .into_iter()
            .find(|task| task["state"] == "queued")
    });
    let address = format!("unix:{}", server.folder().join("admin.sock").display());
    let mut command = troupe_tests::troupe();
    command.args(["cancel", node["id"].as_str().unwrap(), "--admin", &address]);
    assert!(command.status().unwrap().success());
    server.folder().write("go on", "");
    let both = page.join().unwrap();
    assert_eq!(both[0]["error"], Value::Null);
    assert_eq!(both[1]["error"], "the task was cancelled by the operator");
    assert_eq!(
        server.folder().read("received"),
        "wait\n",
        "no worker has seen it"
    );
}

#[test]
fn only_tasks_can_be_cancelled_and_nothing_else_be_done_to_them() {
    let server = serving("");
    cancel(&server, &pool(&server)).expect(409);
    cancel(&server, &children(&pool(&server)).next().unwrap().clone()).expect(409);
    let page = meanwhile(&server, task(json!({"do": "wait", "for": "go on"})));
    let node = eventually("it runs", || tasks(&server).pop());
    let id = node["id"].as_str().unwrap();
    for action in ["restart", "drain", "kill"] {
        let request = Request::new("POST", &format!("/nodes/{id}/{action}"));
        server.admin(&request).expect(409);
    }
    server.folder().write("go on", "");
    assert_eq!(page.join().unwrap()["error"], Value::Null);
}

#[test]
fn tasks_are_counted_and_their_times_measured() {
    let server = serving("");
    for _ in 0..3 {
        play(&server, &task(json!({"do": "echo"})));
    }
    play(&server, &task(json!({"do": "drop"})));
    await_ends(&server, "completed", 3.0);
    await_ends(&server, "aborted", 1.0);
    let site = server.tree()["children"][0]["name"]
        .as_str()
        .unwrap()
        .to_owned();
    let labels = format!("{{site=\"{site}\",pool=\"worker\"}}");
    assert_eq!(
        server.metric(&format!("troupe_tasks_sent_total{labels}")),
        4.0
    );
    assert_eq!(server.metric(&format!("troupe_tasks_running{labels}")), 0.0);
    for histogram in ["wait", "run"] {
        let count = format!("troupe_task_{histogram}_seconds_count{labels}");
        assert_eq!(server.metric(&count), 4.0);
    }
}
