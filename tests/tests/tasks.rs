//! Tasks: work that requests hand to background workers, seen from both ends and from the supervision tree.

#![allow(
    clippy::unwrap_used,
    reason = "in a test, what can't be done is a failure, and the panic says where"
)]

use std::thread;

use serde_json::{Value, json};
use troupe_tests::{Client, Http2, Request, Server, Setup, eventually};

const DIED: &str = "background worker exited without completing the task";

fn setup(lines: &str) -> Setup {
    let lines = format!("name = \"worker\"\nnum = 1\n{lines}");
    Setup::serving("tasks").background("worker.php", &lines)
}

fn serving(lines: &str) -> Server {
    setup(lines).start()
}

fn play(server: &Server, query: &str) -> Value {
    server.get(&format!("/page.php?{query}")).expect(200).json()
}

/// The query that sends one task, and the same for two.
fn task(payload: Value) -> String {
    format!("do=task&payload={}", encoded(&payload))
}

fn two(first: Value, second: Value) -> String {
    format!(
        "do=two&first={}&second={}",
        encoded(&first),
        encoded(&second)
    )
}

fn encoded(value: &Value) -> String {
    let text = value.to_string();
    text.replace('{', "%7B")
        .replace('}', "%7D")
        .replace('"', "%22")
        .replace(' ', "+")
}

/// A request that goes on while the test does something else.
fn meanwhile(server: &Server, query: String) -> thread::JoinHandle<Value> {
    let address = server.address().clone();
    thread::spawn(move || {
        let request = Request::get(&format!("/page.php?{query}"));
        Client::connect(&address)
            .request(&request)
            .expect(200)
            .json()
    })
}

fn await_note(server: &Server, name: &str) -> String {
    eventually(name, || {
        let text = server.folder().read(name);
        text.ends_with('\n').then_some(text)
    })
}

fn tree(server: &Server) -> Value {
    server.admin(&Request::get("/tree")).expect(200).json()
}

fn children(node: &Value) -> impl Iterator<Item = &Value> {
    node["children"].as_array().into_iter().flatten()
}

/// The tasks in the tree.
fn tasks(server: &Server) -> Vec<Value> {
    let tree = tree(server);
    let below = children(&tree)
        .flat_map(children)
        .filter(|node| node["kind"] == "tasks");
    below.flat_map(children).cloned().collect()
}

/// The worker's pool in the tree.
fn pool(server: &Server) -> Value {
    let tree = tree(server);
    let mut pools = children(&tree).flat_map(children);
    pools
        .find(|node| node["kind"] == "background_pool")
        .unwrap()
        .clone()
}

fn metric(server: &Server, line: &str) -> f64 {
    let metrics = server.admin(&Request::get("/metrics")).expect(200);
    let mut lines = metrics.text().lines();
    let found = lines.find_map(|each| each.strip_prefix(line)?.strip_prefix(' '));
    found
        .unwrap_or_else(|| panic!("no {line} in\n{}", metrics.text()))
        .parse()
        .unwrap()
}

fn ends(server: &Server, outcome: &str) -> f64 {
    let site = tree(server)["children"][0]["name"]
        .as_str()
        .unwrap()
        .to_owned();
    metric(
        server,
        &format!(
            "troupe_tasks_ended_total{{site=\"{site}\",pool=\"worker\",outcome=\"{outcome}\"}}"
        ),
    )
}

/// Waits until so many tasks have ended so: their senders may know it a moment earlier.
#[track_caller]
fn await_ends(server: &Server, outcome: &str, count: f64) {
    eventually(outcome, || (ends(server, outcome) == count).then_some(()));
}

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
    let actors = metric(&server, "troupe_actors");
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
        (metric(&server, "troupe_actors") == actors && tasks(&server).is_empty()).then_some(())
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
fn a_sender_that_finds_the_queue_full_waits_no_longer_than_it_said() {
    let server = serving("");
    let late = "RuntimeException: timeout waiting for background worker: worker";
    assert_eq!(play(&server, "do=full"), json!([late, [null, null]]));
    await_ends(&server, "timed_out", 1.0);
}

#[test]
fn a_task_sent_as_an_object_is_received_by_a_function() {
    let server = serving("");
    assert_eq!(play(&server, "do=objects"), json!([1, 2]));
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
    let site = tree(&server)["children"][0]["name"]
        .as_str()
        .unwrap()
        .to_owned();
    let labels = format!("{{site=\"{site}\",pool=\"worker\"}}");
    assert_eq!(
        metric(&server, &format!("troupe_tasks_sent_total{labels}")),
        4.0
    );
    assert_eq!(
        metric(&server, &format!("troupe_tasks_running{labels}")),
        0.0
    );
    for histogram in ["wait", "run"] {
        let count = format!("troupe_task_{histogram}_seconds_count{labels}");
        assert_eq!(metric(&server, &count), 4.0);
    }
}
