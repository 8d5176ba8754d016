//! The admin endpoint and the commands that use it: the tree is seen and steered while the server serves.

#![allow(
    clippy::unwrap_used,
    reason = "in a test, what can't be done is a failure, and the panic says where"
)]

mod metrics;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use troupe_tests::{Client, Request, Response, Server, Setup, eventually, exits, troupe};

const SITE: &str = "site:default";
const POOL: &str = "site:default:http:worker";
const WORKER: &str = "site:default:http:worker:1";

fn setup(lines: &str) -> Setup {
    Setup::serving("workers")
        .ini("display_errors", "0")
        .worker("worker.php", lines)
}

/// A server with two workers that are up.
fn server() -> Server {
    let server = setup("num = 2").php("threads = 1").start();
    eventually("both are up", || (boots(&server) == 2).then_some(()));
    server
}

fn boots(server: &Server) -> usize {
    server.folder().read("boots").lines().count()
}

fn admin(server: &Server, method: &str, target: &str) -> Response {
    server.admin(&Request::new(method, target))
}

/// Starts a request that runs until it is killed, and waits for it to run.
fn hanging(server: &Server, what: &str) -> Client {
    let mut client = server.connect();
    client.send(&Request::get(&format!("/worker.php?do={what}")));
    server.busy_with(&format!("do={what}"));
    client
}

/// The command line, talking to this server.
fn command(server: &Server, arguments: &[&str]) -> Command {
    let mut command = troupe();
    let admin = format!("unix:{}", server.folder().join("admin.sock").display());
    command.args(arguments).args(["--admin", &admin]);
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn every_node_tells_what_it_is_and_how_it_is() {
    let server = server();
    server.get("/worker.php?do=throw").expect(500);
    let pool = server.node_once(POOL, "the exit is told", |pool| {
        exits(pool, "fatal_error") == 1
    });
    assert_eq!(pool["kind"], "http_pool");
    assert_eq!(pool["name"], "worker");
    assert_eq!(pool["parent"], SITE);
    assert_eq!(pool["state"], "ready");
    assert_eq!(pool["queue"], json!({"depth": 0, "capacity": 1024}));
    assert_eq!(
        pool["failures"],
        json!({"in_window": 0, "limit": 5, "window_s": 30})
    );
    let workers = pool["children"].as_array().unwrap();
    assert_eq!(workers.len(), 2);
    let is_it = |worker: &&Value| worker["last_exit"]["reason"] == "fatal_error";
    let worker = workers.iter().find(is_it).unwrap();
    let id = worker["id"].as_str().unwrap();
    let worker = server.node_once(id, "it is ready again", |worker| worker["state"] == "ready");
    assert_eq!(worker["kind"], "http_worker");
    assert_eq!(worker["generation"], 2);
    assert_eq!(worker["served"], 1);
    assert!(worker["since_ms"].as_u64().unwrap() > 1_600_000_000_000);
    assert!(worker["for_ms"].as_u64().is_some());
    assert!(worker["memory_bytes"].as_u64().is_some());
    let exit = &worker["last_exit"];
    assert!(
        exit["message"].as_str().unwrap().contains("on purpose"),
        "{exit}"
    );
    assert!(
        exit["file"].as_str().unwrap().ends_with("worker.php"),
        "{exit}"
    );
    assert!(exit["line"].as_u64().unwrap() > 0, "{exit}");

    let tree = server.tree();
    assert_eq!(tree["kind"], "root");
    let children = tree["children"].as_array().unwrap();
    let kinds: Vec<_> = children.iter().map(|child| &child["kind"]).collect();
    assert_eq!(kinds, ["site", "classic_pool"]);

    let _client = hanging(&server, "wait");
    let busy = server.busy_with("do=wait");
    assert_eq!(busy["current"]["what"], "GET /worker.php?do=wait");
    assert!(busy["current"]["id"].as_u64().unwrap() > 0);
    assert!(busy["current"]["for_ms"].as_u64().is_some());
    server.folder().write("go", "");

    for target in [
        "/nodes/none-such",
        "/nodes/none-such/backtrace",
        "/none-such",
    ] {
        admin(&server, "GET", target).expect(404);
    }
    admin(&server, "GET", "/tree?format=xml").expect(400);
    let refused = admin(&server, "GET", &format!("/nodes/{POOL}/restart")).expect(405);
    assert_eq!(refused.header("allow"), Some("POST"));
}

#[test]
fn changes_are_told_as_events_while_they_happen() {
    let server = server();
    let mut events = Client::connect(&server.admin_address());
    events.send(&Request::get("/tree/events"));
    let head = events.head();
    assert_eq!(head.header("content-type"), Some("text/event-stream"));
    let mut seen = text(&events.chunk().unwrap());
    assert!(seen.starts_with(": listening\n\n"), "{seen}");
    server.get("/worker.php?do=throw").expect(500);
    let told = |seen: &str| {
        let events: Vec<Value> = seen
            .split("\n\n")
            .filter_map(|event| event.strip_prefix("event: changed\ndata: "))
            .filter_map(|node| serde_json::from_str(node).ok())
            .collect();
        let exited = events.iter().position(|node| {
            node["last_exit"]["message"]
                .to_string()
                .contains("on purpose")
        })?;
        let id = &events[exited]["id"];
        events[exited..]
            .iter()
            .find(|node| node["id"] == *id && node["generation"] == 2 && node["state"] == "ready")
            .cloned()
    };
    let ready = loop {
        if let Some(ready) = told(&seen) {
            break ready;
        }
        seen += &text(&events.chunk().expect("the stream goes on"));
    };
    assert_eq!(ready["parent"], POOL);
}

#[test]
fn one_worker_a_pool_a_site_and_everything_can_be_restarted() {
    let server = server();
    let mut expected = 2;
    for (node, scripts) in [(WORKER, 1), (POOL, 2), (SITE, 2), ("root", 2)] {
        server.under_load(2, "/worker.php", "hello", |_| server.steer(node, "restart"));
        // The answer comes when all are ready again.
        expected += scripts;
        assert_eq!(boots(&server), expected, "{node}");
    }
    let pool = server.node(POOL);
    assert_eq!(exits(&pool, "stopped"), 7);
    assert_eq!(pool["failures"]["in_window"], 0);
    assert_eq!(server.node(WORKER)["generation"], 5);
    // A thread that has no script to renew is renewed itself.
    let before = server.node("classic:1")["generation"].as_u64().unwrap();
    server.steer("classic:1", "restart");
    assert_eq!(server.node("classic:1")["generation"], before + 1);
    admin(&server, "POST", "/nodes/none-such/restart").expect(404);
}

#[test]
fn what_is_drained_finishes_its_request_and_rests_until_it_is_restarted() {
    for node in [POOL, SITE, "root"] {
        let server = server();
        let mut client = hanging(&server, "wait");
        server.steer(node, "drain");
        eventually("requests are refused", || {
            let response = server.get("/worker.php");
            (response.status == 503 && response.header("retry-after").is_some()).then_some(())
        });
        server.folder().write("go", "");
        assert_eq!(client.response().expect(200).text(), "waited", "{node}");
        eventually("it rests", || {
            let at_rest = match node {
                "root" => server.node(SITE),
                node => server.node(node),
            };
            (at_rest["state"] == "stopped").then_some(())
        });
        server.get("/worker.php").expect(503);
        server.steer(node, "restart");
        assert_eq!(
            server.get("/worker.php").expect(200).text(),
            "hello",
            "{node}"
        );
        assert_eq!(boots(&server), 4, "both are up again");
    }
}

#[test]
fn a_request_that_outlasts_the_grace_of_a_restart_is_ended_by_force() {
    let server = setup("num = 1\ngrace = \"200ms\"").start();
    for what in ["loop", "sleep", "read"] {
        let mut client = hanging(&server, what);
        server.steer(POOL, "restart");
        client.response().expect(500);
        assert_eq!(
            server.get("/worker.php").expect(200).text(),
            "hello",
            "{what}"
        );
    }
    let pool = server.node(POOL);
    assert_eq!(exits(&pool, "forced"), 3, "{pool}");
    assert_eq!(pool["failures"]["in_window"], 0, "{pool}");
    server.log().wait_text("the grace period is over");
}

#[test]
fn one_worker_that_is_drained_leaves_its_work_to_the_others() {
    let server = server();
    server.under_load(2, "/worker.php", "hello", |_| {
        server.steer(WORKER, "drain");
        server.node_once(WORKER, "it rests", |worker| worker["state"] == "stopped");
    });
    let served = server.node(WORKER)["served"].clone();
    for _ in 0..10 {
        server.get("/worker.php").expect(200);
    }
    assert_eq!(server.node(WORKER)["served"], served);
    server.steer(WORKER, "restart");
    assert_eq!(server.node(WORKER)["state"], "ready");
}

#[test]
fn what_runs_in_a_worker_a_pool_a_site_and_everywhere_can_be_killed() {
    for node in [WORKER, POOL, SITE, "root"] {
        let server = setup("num = 1").start();
        let mut clients = vec![hanging(&server, "loop")];
        server.steer(node, "kill");
        if node == WORKER {
            clients.push(hanging(&server, "sleep"));
            server.steer(node, "kill");
        }
        for mut client in clients {
            client.response().expect(500);
        }
        assert_eq!(
            server.get("/worker.php").expect(200).text(),
            "hello",
            "{node}"
        );
        let pool = server.node_once(POOL, "it is told", |pool| exits(pool, "killed") > 0);
        assert_eq!(pool["failures"]["in_window"], 0, "{pool}");
        server.log().wait_text("ended by the operator");
    }
}

#[test]
fn the_stack_is_told_of_a_loop_and_of_a_call_that_blocks() {
    let server = server();
    for (what, innermost) in [
        ("loop", "worker.php("),
        ("sleep", "): sleep()"),
        ("read", "): fread()"),
    ] {
        let mut client = hanging(&server, what);
        let id = server.busy_with(what)["id"].as_str().unwrap().to_owned();
        let stack = server.stack_once(&id, innermost);
        let lines: Vec<_> = stack.lines().collect();
        assert!(lines[0].starts_with("#0 "), "{lines:?}");
        assert!(
            lines
                .iter()
                .any(|line| line.ends_with("frankenphp_handle_request()")),
            "{lines:?}"
        );
        assert!(lines.last().unwrap().ends_with("{main}"), "{lines:?}");
        server.steer(&id, "kill");
        client.response().expect(500);
    }
    admin(&server, "GET", "/nodes/classic:1/backtrace").expect(503);
    admin(&server, "GET", &format!("/nodes/{POOL}/backtrace")).expect(404);
}

#[test]
fn frankenphps_tools_get_frankenphps_answers() {
    let server = server();
    server.get("/worker.php").expect(200);
    let restarted = admin(&server, "POST", "/frankenphp/workers/restart").expect(200);
    assert_eq!(restarted.text(), "workers restarted successfully\n");
    assert_eq!(boots(&server), 4);
    admin(&server, "GET", "/frankenphp/workers/restart").expect(405);

    let _client = hanging(&server, "wait");
    let threads = admin(&server, "GET", "/frankenphp/threads")
        .expect(200)
        .json();
    assert_eq!(threads["ReservedThreadCount"], 0);
    let threads = threads["ThreadDebugStates"].as_array().unwrap();
    assert_eq!(threads.len(), 3);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/php/workers/worker.php");
    let name = format!("Worker PHP Thread - {script}");
    let names: Vec<_> = threads
        .iter()
        .map(|thread| thread["Name"].as_str().unwrap())
        .collect();
    assert_eq!(names, [name.as_str(), &name, "Regular PHP Thread"]);
    let busy: Vec<_> = threads
        .iter()
        .filter(|thread| thread["IsBusy"] == true)
        .collect();
    assert_eq!(busy.len(), 1, "{threads:?}");
    assert_eq!(busy[0]["CurrentURI"], "/worker.php?do=wait");
    assert_eq!(busy[0]["CurrentMethod"], "GET");
    assert!(busy[0]["RequestStartedAt"].as_u64().unwrap() > 1_600_000_000_000);
    assert_eq!(busy[0]["WaitingSinceMilliseconds"], 0);
    for (index, thread) in threads.iter().enumerate() {
        assert_eq!(thread["Index"], index);
        assert_eq!(thread["State"], "ready");
        assert_eq!(thread["IsWaiting"], !thread["IsBusy"].as_bool().unwrap());
        assert!(thread["MemoryUsage"].is_u64(), "{thread}");
    }
    let served: u64 = threads
        .iter()
        .map(|thread| thread["RequestCount"].as_u64().unwrap())
        .sum();
    assert_eq!(served, 1);
    server.folder().write("go", "");
}

#[test]
fn the_token_opens_the_endpoint_and_nothing_else_does() {
    const TOKEN: &str = "0123456789abcdef";
    let server = setup("num = 1")
        .environment("TROUPE_ADMIN_TOKEN", TOKEN)
        .start();
    let with = |header: &str, target: &str| {
        server.admin(&Request::get(target).header("Authorization", header))
    };
    for target in [
        "/tree",
        "/metrics",
        "/tree/events",
        "/frankenphp/threads",
        "/healthz",
    ] {
        let refused = server.admin(&Request::get(target)).expect(401);
        assert_eq!(
            refused.header("www-authenticate"),
            Some("Bearer"),
            "{target}"
        );
        with("Bearer 0123456789abcdeX", target).expect(401);
    }
    let right = format!("Bearer {TOKEN}");
    with(&right, "/tree").expect(200);
    let restart = Request::new("POST", "/nodes/root/restart");
    server.admin(&restart).expect(401);
    server
        .admin(&restart.header("Authorization", &right))
        .expect(200);

    let refused = command(&server, &["tree"]).output().unwrap();
    assert!(!refused.status.success());
    let given = command(&server, &["tree", "--token", TOKEN])
        .output()
        .unwrap();
    assert!(given.status.success() && text(&given.stdout).starts_with("root"));
    let mut from_environment = command(&server, &["tree"]);
    let given = from_environment
        .env("TROUPE_ADMIN_TOKEN", TOKEN)
        .output()
        .unwrap();
    assert!(given.status.success() && text(&given.stdout).starts_with("root"));
}

#[test]
fn the_endpoint_answers_while_the_server_is_overloaded() {
    let server = setup("num = 1")
        .php("threads = 1")
        .server("queue_length = 1\nmax_connections = 20")
        .start();
    let _stuck = hanging(&server, "loop");
    // As many connections as may be, and more that wait for one to end.
    let crowd: Vec<_> = (0..60)
        .map(|_| {
            let mut client = server.connect();
            client.send(&Request::get("/worker.php?do=loop"));
            client
        })
        .collect();
    for target in [
        "/tree",
        "/tree?format=text",
        "/metrics",
        "/frankenphp/threads",
        "/healthz",
    ] {
        admin(&server, "GET", target).expect(200);
    }
    let stack = admin(&server, "GET", &format!("/nodes/{WORKER}/backtrace")).expect(200);
    assert!(stack.text().contains("worker.php"), "{}", stack.text());
    drop(crowd);
    eventually("all that got in are killed", || {
        server.steer("root", "kill");
        let pool = server.node(POOL);
        let idle = pool["children"][0]["current"].is_null() && pool["queue"]["depth"] == 0;
        idle.then_some(())
    });
}

#[test]
fn troupe_tree_draws_the_tree_with_what_commands_call_each_node() {
    let server = server();
    server.get("/worker.php?do=throw").expect(500);
    server.node_once(POOL, "the exit is told", |pool| {
        exits(pool, "fatal_error") == 1
    });
    let drawn = command(&server, &["tree"]).output().unwrap();
    assert!(drawn.status.success(), "{}", text(&drawn.stderr));
    let picture = text(&drawn.stdout);
    let line = |start: &str| {
        let line = picture.lines().find(|line| line.starts_with(start));
        line.unwrap_or_else(|| panic!("no {start} in\n{picture}"))
            .to_owned()
    };
    assert!(line("root ").contains(" ready "));
    assert!(line("├─ site default ").contains(&format!(" {SITE} ")));
    assert!(line("│  └─ http pool worker ").contains("queue 0/1024"));
    assert!(line("│     ├─ worker 1 ").contains(&format!(" {WORKER} ")));
    assert!(line("└─ classic pool ").contains(" classic "));
    assert!(picture.contains("last exit fatal_error: "), "{picture}");
    assert!(picture.contains("on purpose"), "{picture}");

    let asked = admin(&server, "GET", "/tree?format=text").expect(200);
    assert_eq!(asked.text().lines().count(), picture.lines().count());
}

#[test]
fn troupe_tree_watch_keeps_drawing_as_the_tree_changes() {
    let server = server();
    let mut watching = command(&server, &["tree", "--watch"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watching.stdout.take().unwrap()).lines();
    let mut until = |what: &str| {
        lines
            .by_ref()
            .map(Result::unwrap)
            .find(|line| line.contains(what))
    };
    assert!(until("worker 1").is_some());
    server.steer(WORKER, "restart");
    let line = until("start 2").unwrap();
    assert!(line.contains(WORKER), "{line}");
    watching.kill().unwrap();
    watching.wait().unwrap();
}

#[test]
fn troupe_restart_and_backtrace_do_it_or_say_why_not() {
    let server = server();
    let restarted = command(&server, &["restart", POOL]).output().unwrap();
    assert!(restarted.status.success(), "{}", text(&restarted.stderr));
    assert_eq!(boots(&server), 4);

    let mut client = hanging(&server, "sleep");
    let id = server.busy_with("do=sleep")["id"]
        .as_str()
        .unwrap()
        .to_owned();
    server.stack_once(&id, "): sleep()");
    let shown = command(&server, &["backtrace", &id]).output().unwrap();
    assert!(shown.status.success(), "{}", text(&shown.stderr));
    assert!(
        text(&shown.stdout).contains("): sleep()"),
        "{}",
        text(&shown.stdout)
    );
    server.steer(&id, "kill");
    client.response().expect(500);

    for wrong in [["restart", "none-such"], ["backtrace", "none-such"]] {
        let refused = command(&server, &wrong).output().unwrap();
        assert_eq!(refused.status.code(), Some(1), "{wrong:?}");
        assert!(
            text(&refused.stderr).contains("none-such"),
            "{}",
            text(&refused.stderr)
        );
    }
    let nobody = troupe()
        .args(["tree", "--admin", "127.0.0.1:1"])
        .output()
        .unwrap();
    assert!(!nobody.status.success());
    assert!(
        text(&nobody.stderr).contains("no server at 127.0.0.1:1"),
        "{}",
        text(&nobody.stderr)
    );
}
