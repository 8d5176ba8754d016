//! Worker mode: the application is booted once, requests see nothing of each other, faults end one request.

#![allow(
    clippy::unwrap_used,
    reason = "in a test, what can't be done is a failure, and the panic says where"
)]

mod between;

use std::sync::atomic::Ordering;
use std::thread;

use serde_json::{Value, json};
use troupe_tests::{Client, Folder, Part, Request, Server, Setup, eventually, exits, troupe};

fn workers(lines: &str) -> Setup {
    Setup::serving("workers")
        .ini("display_errors", "0")
        .worker("worker.php", lines)
}

fn one() -> Server {
    workers("num = 1").start()
}

fn ask(server: &Server, what: &str) -> troupe_tests::Response {
    server.get(&format!("/worker.php?do={what}"))
}

fn boots(server: &Server) -> usize {
    server.folder().read("boots").lines().count()
}

#[test]
fn the_application_is_booted_once_and_serves_request_after_request() {
    let server = workers("num = 1\nname = \"app\"\nenv = { OWN = \"of the worker\" }").start();
    for served in 1..=5 {
        let seen = ask(&server, "kept").expect(200).json();
        assert_eq!(seen["served"], served);
        assert_eq!(seen["global"], served);
        assert_eq!(seen["static"], served);
        assert_eq!(seen["env"], "kept");
        assert_eq!(seen["precision"], "11");
        assert_eq!(seen["name"], "app");
    }
    let boot: Value = serde_json::from_str(&server.folder().read("boots")).unwrap();
    assert_eq!(
        boot,
        json!({"name": "app", "background": false, "booting": "1", "env": "of the worker"})
    );
    assert_eq!(boots(&server), 1);
}

#[test]
fn scripts_that_are_nobodys_worker_run_beside_it() {
    let server = one();
    assert_eq!(
        server.get("/plain.php").expect(200).json()["worker"],
        Value::Null
    );
    assert_eq!(ask(&server, "hello").text(), "hello");
}

#[test]
fn uploads_streams_and_early_ends_work_as_without_workers() {
    let server = one();
    let parts = [Part {
        name: "file",
        file_name: Some("a.bin"),
        content: &[7; 200_000],
    }];
    let first = server.send(&Request::multipart("/worker.php?do=upload", &parts));
    assert_eq!(first.expect(200).json().as_array().unwrap().len(), 1);
    assert_eq!(ask(&server, "upload").json(), json!([]));

    let mut client = server.connect();
    client.send(&Request::get("/worker.php?do=flush"));
    client.head();
    assert_eq!(client.chunk().unwrap(), b"first");
    server.folder().write("first-seen", "");
    assert_eq!(client.chunk().unwrap(), b"second");

    assert_eq!(ask(&server, "finish").expect(200).text(), "answer");
    server.folder().write("answered", "");
    eventually("the script went on", || {
        (server.folder().read("after") == "went on\n").then_some(())
    });
    assert_eq!(boots(&server), 1);
}

/// Lets `fault` happen to one of two workers, while a client of the other notices nothing.
#[track_caller]
fn others_notice_nothing(server: &Server, fault: impl FnOnce()) {
    server.under_load(1, "/worker.php", "hello", |_| fault());
    assert_eq!(ask(server, "hello").expect(200).text(), "hello");
}

#[test]
fn exit_ends_its_request_normally_and_the_script_is_started_again() {
    let server = workers("num = 2").start();
    others_notice_nothing(&server, || {
        assert_eq!(ask(&server, "exit").expect(200).text(), "said");
    });
    eventually("the script was started again", || {
        (boots(&server) == 3).then_some(())
    });
}

#[test]
fn exceptions_and_fatal_errors_are_a_500_a_log_line_and_a_new_start() {
    let server = workers("num = 2").ini("memory_limit", "64M").start();
    for (count, (fault, said)) in [
        ("throw", "on purpose"),
        ("fatal", "undefined_function()"),
        ("memory", "Allowed memory size"),
        ("recursion", "Maximum call stack size"),
    ]
    .into_iter()
    .enumerate()
    {
        others_notice_nothing(&server, || {
            ask(&server, fault).expect(500);
        });
        let record = server.log().wait_text(said);
        assert!(record.to_string().contains("worker.php"), "{record}");
        eventually("the script was started again", || {
            (boots(&server) == 3 + count).then_some(())
        });
    }
}

#[test]
fn a_request_beyond_its_deadline_is_a_504_whatever_it_is_in() {
    let server = workers("num = 2\ndeadline = \"500ms\"").start();
    for fault in ["loop", "sleep", "read"] {
        others_notice_nothing(&server, || {
            ask(&server, fault).expect(504);
        });
    }
}

#[test]
fn a_worker_that_never_boots_is_a_503_that_says_when_to_come_back() {
    let server = Setup::serving("workers")
        .worker(
            "never_ready.php",
            "num = 1\nintensity = 2\nmax_consecutive_failures = 2",
        )
        .start();
    let refused = eventually("the pool is down", || {
        let response = server.get("/never_ready.php");
        (response.status == 503).then_some(response)
    });
    let seconds: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!(seconds >= 1);
    server.log().wait_text("can not boot");
    assert_eq!(server.get("/plain.php").status, 200, "the site lives on");
}

#[test]
fn the_tree_shows_each_worker_and_how_it_ended_last() {
    let server = one();
    ask(&server, "throw").expect(500);
    let exited = eventually("the worker's last exit is in the tree", || {
        let mut workers = server.nodes_of("http_worker").into_iter();
        workers.find(|worker| worker["last_exit"].to_string().contains("on purpose"))
    });
    let id = exited["id"].as_str().unwrap();
    let node = server
        .admin(&Request::get(&format!("/nodes/{id}")))
        .expect(200);
    assert_eq!(node.json()["id"], id);
    let text = server.admin(&Request::get("/tree?format=text")).expect(200);
    assert!(text.text().contains("root"), "{}", text.text());
    server.admin(&Request::get("/nodes/none-such")).expect(404);
}

#[test]
fn a_running_script_shows_its_stack_and_can_be_killed() {
    let server = one();
    let mut client = server.connect();
    client.send(&Request::get("/worker.php?do=loop"));
    let busy = server.busy_with("do=loop");
    let id = busy["id"].as_str().unwrap();
    let backtrace = server.admin(&Request::get(&format!("/nodes/{id}/backtrace")));
    let backtrace = backtrace.expect(200);
    assert!(
        backtrace.text().contains("worker.php"),
        "{}",
        backtrace.text()
    );
    let killed = server.admin(&Request::new("POST", &format!("/nodes/{id}/kill")));
    assert!((200..300).contains(&killed.status), "{}", killed.status);
    assert!(client.response().status >= 500);
    assert_eq!(ask(&server, "hello").expect(200).text(), "hello");
}

#[test]
fn a_rolling_restart_loses_no_request_and_boots_every_worker_anew() {
    let server = workers("num = 2").start();
    ask(&server, "hello").expect(200);
    eventually("both are up", || (boots(&server) == 2).then_some(()));
    others_notice_nothing(&server, || {
        let restarted = server.admin(&Request::new("POST", "/frankenphp/workers/restart"));
        restarted.expect(200);
        eventually("both were started again", || {
            (boots(&server) == 4).then_some(())
        });
    });
    let ends = server.folder().read("ends");
    assert_eq!(ends, "the loop ended\nthe loop ended\n");
}

#[test]
fn a_slow_request_holds_up_no_other_while_a_worker_is_free() {
    let server = workers("num = 2").start();
    let mut slow = server.connect();
    slow.send(&Request::get("/worker.php?do=wait"));
    eventually("a worker is busy", || {
        (!server.folder().read("waiting").is_empty()).then_some(())
    });
    server.under_load(8, "/worker.php?do=hello", "hello", |answers| {
        eventually("others are answered", || {
            (answers.load(Ordering::SeqCst) >= 500).then_some(())
        });
    });
    server.folder().write("go", "");
    assert_eq!(slow.response().expect(200).text(), "waited");
}

#[test]
fn the_admin_endpoint_answers_while_every_thread_is_stuck() {
    let server = workers("num = 1\ngrace = \"200ms\"")
        .php("threads = 1")
        .start();
    let mut stuck = server.connect();
    stuck.send(&Request::get("/worker.php?do=wait"));
    eventually("the worker is busy", || {
        (!server.folder().read("waiting").is_empty()).then_some(())
    });
    for target in ["/healthz", "/tree", "/metrics", "/frankenphp/threads"] {
        server.admin(&Request::get(target)).expect(200);
    }
    let metrics = server.admin(&Request::get("/metrics"));
    assert!(
        metrics.text().contains("frankenphp_busy_workers"),
        "{}",
        metrics.text()
    );
    server.folder().write("go", "");
    assert_eq!(stuck.response().expect(200).text(), "waited");
}

#[test]
fn hundreds_of_mixed_requests_of_many_clients_are_each_answered_right() {
    let server = workers("num = 2").start();
    let address = server.address().clone();
    thread::scope(|scope| {
        for client in 0..4 {
            let address = address.clone();
            scope.spawn(move || {
                for turn in 0..60 {
                    let (what, status) = match (client + turn) % 6 {
                        0 => ("throw", 500),
                        1 => ("exit", 200),
                        _ => ("hello", 200),
                    };
                    let request = Request::get(&format!("/worker.php?do={what}"));
                    let response = Client::connect(&address).request(&request).expect(status);
                    match what {
                        "exit" => assert_eq!(response.text(), "said"),
                        "hello" => assert_eq!(response.text(), "hello"),
                        _ => {}
                    }
                }
            });
        }
    });
}

#[test]
fn a_superglobal_that_code_first_names_in_a_later_request_is_that_requests() {
    let script = b"<?php
        $answer = function () {
            echo json_encode(isset($_GET['late']) ? include 'late.php' : null);
            $_GET['left'] = $_POST['left'] = $_FILES['left'] = $_COOKIE['left'] = 'left';
        };
        while (frankenphp_handle_request($answer));";
    let late = b"<?php return [$_REQUEST, $_SERVER['QUERY_STRING'], $_POST, $_FILES, $_COOKIE];";
    let files: [(&str, &[u8]); 2] = [("worker.php", script), ("late.php", late)];
    let server = Setup::with_files(&files)
        .worker("worker.php", "num = 1")
        .start();
    let ask = |query: &str| server.get(&format!("/worker.php?{query}")).json();
    assert_eq!(ask("early=1"), Value::Null);
    for late in ["1", "2"] {
        let query = format!("late={late}");
        let expected = json!([{"late": late}, query.clone(), [], [], []]);
        assert_eq!(ask(&query), expected);
    }
}

#[test]
fn a_script_that_leaves_its_loop_by_itself_is_started_again_and_no_request_is_lost() {
    // As Laravel's worker script does after so many requests.
    let script = b"<?php
        ignore_user_abort(true);
        file_put_contents($_SERVER['SCRATCH'] . '/boots', \"\\n\", FILE_APPEND);
        $count = 0;
        $handle = static fn () => print('hello');
        while ($count < $_SERVER['MAX_REQUESTS'] && frankenphp_handle_request($handle)) {
            $count++;
        }";
    let server = Setup::with_files(&[("worker.php", script)])
        .env("MAX_REQUESTS", "10")
        .worker("worker.php", "num = 2")
        .start();
    server.under_load(4, "/worker.php", "hello", |answers| {
        eventually("they are started again and again", || {
            (boots(&server) > 22 && answers.load(Ordering::SeqCst) > 200).then_some(())
        });
    });
    let pool = server.node_once("site:default:http:worker", "the ends are told", |pool| {
        exits(pool, "returned") >= 20
    });
    assert_eq!(pool["failures"]["in_window"], 0);
    assert_eq!(pool["exits"].as_object().unwrap().len(), 1, "{pool}");
}

#[test]
fn workers_of_the_command_line_serve_their_scripts() {
    let folder = Folder::new();
    let worker = "<?php
        $boot = fn () => print($_SERVER['FRANKENPHP_WORKER_NAME'] . $_SERVER['SCRIPT_NAME']);
        while (frankenphp_handle_request($boot));";
    let mut command = troupe();
    command.args(["php-server", "--listen", "127.0.0.1:0", "--admin"]);
    command.arg(format!("unix:{}", folder.join("admin.sock").display()));
    for (name, given) in [("one", "one.php,2"), ("other", "other.php")] {
        folder.write(&format!("www/{name}.php"), worker);
        command
            .arg("--worker")
            .arg(folder.join(&format!("www/{given}")));
    }
    folder.write(
        "www/plain.php",
        "<?= $_SERVER['FRANKENPHP_WORKER_NAME'] ?? 'plain' ?>",
    );
    command.arg("--root").arg(folder.join("www"));
    let server = Server::spawn(command, folder);
    for (target, text) in [
        ("/one.php", "one/one.php"),
        ("/other.php", "other/other.php"),
        ("/plain.php", "plain"),
    ] {
        assert_eq!(server.get(target).expect(200).text(), text);
    }
    let threads = |pool: &str| {
        let pool = server.node(&format!("site:default:http:{pool}"));
        pool["children"].as_array().unwrap().len()
    };
    assert_eq!(threads("one"), 2);
    assert!(threads("other") >= 2, "twice the processors");
}

#[test]
fn a_worker_with_match_serves_those_paths_and_no_others_without_looking_for_a_file() {
    let script = "<?php
        $serve = fn () => print($_SERVER['FRANKENPHP_WORKER_NAME'] . ' ' . $_SERVER['REQUEST_URI']);
        while (frankenphp_handle_request($serve));";
    let setup = Setup::with_files(&[
        ("api.php", script.as_bytes()),
        ("app.php", script.as_bytes()),
        ("api/file.txt", b"a file"),
    ]);
    let server = setup
        .site("try_files = [\"$uri\", \"/app.php\"]")
        .worker("api.php", "num = 1\nmatch = [\"/api/*\"]")
        .worker("app.php", "num = 1")
        .start();
    for (target, text) in [
        ("/api/users?id=1", "api /api/users?id=1"),
        ("/api/file.txt", "api /api/file.txt"),
        ("/users", "app /users"),
        ("/app.php", "app /app.php"),
    ] {
        assert_eq!(server.get(target).expect(200).text(), text);
    }
}
