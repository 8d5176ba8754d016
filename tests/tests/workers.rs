//! Worker mode: the application is booted once, requests see nothing of each other, faults end one request.

#![allow(
    clippy::unwrap_used,
    reason = "in a test, what can't be done is a failure, and the panic says where"
)]

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
fn a_request_sees_nothing_of_the_one_before() {
    requests_see_nothing_of_each_other("num = 1");
}

#[test]
fn what_the_boot_has_set_is_restored_and_not_the_default() {
    requests_see_nothing_of_each_other("num = 1\nenv = { SET_BY_BOOT = \"on\" }");
}

fn requests_see_nothing_of_each_other(lines: &str) {
    let setup = workers(lines);
    let scratch = setup.folder().path().to_str().unwrap().to_owned();
    let server = setup.ini("sys_temp_dir", &scratch).start();
    let clean = ask(&server, "traces").expect(200).json();
    for what in ["get", "post", "cookie", "files"] {
        let expected = match what {
            "get" => json!({"do": "traces"}),
            _ => json!([]),
        };
        assert_eq!(clean[what], expected, "{what}");
    }
    let parts = [
        Part {
            name: "left",
            file_name: None,
            content: b"left",
        },
        Part {
            name: "file",
            file_name: Some("left.bin"),
            content: b"left",
        },
    ];
    let leaver = Request::multipart("/worker.php?do=leave&left=left", &parts)
        .header("Cookie", "left=left")
        .header("X-Own", "left")
        // "user:pass" in Base64
        .header("Authorization", "Basic dXNlcjpwYXNz");
    for _ in 0..3 {
        let left = server.send(&leaver).expect(202);
        assert_eq!(left.header("x-left"), Some("1"));
        assert_eq!(left.header("x-callback"), Some("1"));
        assert_eq!(left.text(), "left!");
        let response = ask(&server, "traces").expect(200);
        assert_eq!(response.header("x-left"), None);
        assert_eq!(response.header("x-callback"), None);
        assert_eq!(response.header("set-cookie"), None);
        let charset = response.header("content-type");
        assert_eq!(charset, Some("application/json"));
        let seen = response.json();
        for (what, value) in clean.as_object().unwrap() {
            assert_eq!(&seen[what], value, "{what} is left");
        }
    }
    assert_eq!(boots(&server), 1, "the worker was never restarted");
}

#[test]
fn stream_wrappers_and_filters_of_a_library_that_remembers_them_are_there_for_later_requests() {
    let server = one();
    for _ in 0..3 {
        assert!(
            ask(&server, "library")
                .expect(200)
                .text()
                .starts_with("<OWN>")
        );
    }
}

#[test]
fn server_variables_are_the_requests_own_whatever_became_of_those_before() {
    // The last three are names of what PHP itself puts there, and of an index of a list.
    let env = "env = { OWN = \"own\", argv = \"text\", REQUEST_TIME = \"then\", 7 = \"seven\" }";
    for env in ["", env] {
        let server = workers(&format!("num = 1\n{env}")).start();
        let mut kept = Vec::new();
        for (then, headers) in [
            ("", [("X-One", "first"), ("Accept", "a/b")].as_slice()),
            ("", &[("X-One", "second"), ("Accept", "a/b")]),
            ("change", &[("X-One", "second"), ("Accept", "c")]),
            ("", &[("X-One", "second"), ("Accept", "c")]),
            ("keep", &[("X-One", "second"), ("Accept", "c")]),
            ("keep", &[("X-One", "third"), ("Accept", "c")]),
            ("", &[("X-One", ""), ("Accept", "longer/than/before")]),
            ("forget", &[("X-Two", "second"), ("Accept", "c")]),
            ("", &[("X-Two", "second"), ("Accept-Language", "c")]),
            ("", &[("X-Two", "2")]),
            ("", &[("X-Two", "2"), ("Accept", "c")]),
        ] {
            let uri = format!("/worker.php?do=server&then={then}");
            let mut request = Request::get(&uri);
            for (name, value) in headers {
                request = request.header(name, value);
            }
            let seen = server.send(&request).expect(200).json();
            assert_eq!(seen[1], Value::from(kept.clone()), "what was kept");
            let variables = seen[0].as_object().unwrap();
            let of_header = |(name, value): &(&str, &str)| {
                let name = name.to_uppercase().replace('-', "_");
                (format!("HTTP_{name}"), Value::from(*value))
            };
            let expected: Value = headers.iter().map(of_header).collect();
            let is_sent = |name: &str| name.starts_with("HTTP_") && name != "HTTP_HOST";
            let sent = variables.iter().filter(|(name, _)| is_sent(name));
            let sent: Value = sent
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect();
            assert_eq!(sent, expected);
            assert_eq!(variables["REQUEST_URI"], uri);
            assert_eq!(variables["QUERY_STRING"], uri["/worker.php?".len()..]);
            assert_eq!(variables["argv"], json!([variables["QUERY_STRING"]]));
            assert!(variables["REQUEST_TIME"].as_u64() > Some(1_700_000_000));
            assert_eq!(variables.contains_key("OWN"), !env.is_empty());
            assert_eq!(variables.contains_key("7"), !env.is_empty());
            assert!(!variables.contains_key("ADDED"));
            match then {
                "keep" => kept.push(seen[0].clone()),
                "forget" => kept.clear(),
                _ => {}
            }
        }
        assert_eq!(boots(&server), 1);
    }
}

#[test]
fn a_file_that_has_changed_is_looked_at_anew_by_the_next_request() {
    let server = one();
    for text in ["one", "another"] {
        server.folder().write("file", text);
        let size = ask(&server, "size").expect(200).text().parse::<usize>();
        assert_eq!(size, Ok(text.len()));
    }
}

#[test]
fn a_session_between_two_requests_is_closed_before_the_second() {
    let server = workers("num = 1\ndeadline = \"5s\"").start();
    let expected = [
        json!([]),
        json!({"of": "the script"}),
        json!({"of": "the script"}),
    ];
    for session in expected {
        assert_eq!(ask(&server, "session").expect(200).json(), session);
    }
}

#[test]
fn php_compresses_for_clients_that_take_it() {
    for compresses in ["0", "1"] {
        let server = workers("num = 1")
            .ini("zlib.output_compression", compresses)
            .start();
        for _ in 0..2 {
            let request = Request::get("/worker.php?do=compress");
            let plain = server.send(&request).expect(200);
            assert_eq!(plain.header("content-encoding"), None);
            assert_eq!(plain.text(), "hello");
            let packed = server.send(&request.header("Accept-Encoding", "gzip"));
            assert_eq!(packed.expect(200).header("content-encoding"), Some("gzip"));
            let request = Request::get("/worker.php?do=compress+not");
            let plain = server.send(&request.header("Accept-Encoding", "gzip"));
            assert_eq!(plain.expect(200).text(), "hello");
        }
        assert!(server.log().all_with("php::output").is_empty());
    }
}

#[test]
fn a_kept_stream_of_a_body_ends_with_its_request() {
    let server = one();
    let body = "its body ".repeat(10_000);
    let request = |method| Request::new(method, "/worker.php?do=input").body(&body);
    // What the stream had read already, which is more than the script took of it.
    let read = &body[4..8192];
    for (method, before) in [
        ("POST", Value::Null),
        ("PUT", json!(read)),
        ("POST", json!(read)),
    ] {
        let seen = server.send(&request(method)).expect(200).json();
        assert_eq!(seen, json!([before, "its "]));
    }
    assert_eq!(boots(&server), 1);
}

#[test]
fn server_variables_stay_what_they_are_when_the_filter_extension_is_asked() {
    let env = "env = { \"odd.name\" = \"odd\", argv = \"text\" }";
    let server = workers(&format!("num = 1\n{env}")).start();
    for _ in 0..3 {
        let seen = ask(&server, "filter").expect(200).json();
        let found = json!({
            "REQUEST_URI": "/worker.php?do=filter",
            "odd_name": "odd",
            "odd.name": null,
            "argv": "text",
        });
        assert_eq!(seen, json!([found, true, ["do=filter"], false]));
    }
}

#[test]
fn what_output_is_rewritten_with_is_the_requests_own() {
    let server = one();
    for with in ["1", "2"] {
        let page = ask(&server, &format!("rewrite&with={with}"));
        let field = format!("<input type=\"hidden\" name=\"with\" value=\"{with}\" />");
        assert_eq!(page.text(), format!("<form>{field}</form>"));
        assert_eq!(ask(&server, "rewrite").text(), "<form></form>");
    }
}

#[test]
fn signals_that_a_request_blocks_are_blocked_for_itself_only_and_never_the_servers() {
    let server = workers("num = 1\ndeadline = \"500ms\"").start();
    for _ in 0..2 {
        let before = ask(&server, "block+signals").expect(200).json();
        assert_eq!(before, json!([]));
        ask(&server, "block+signals&sleep=1").expect(504);
    }
    assert_eq!(server.metric("troupe_lost_threads_total"), 0.0);
}

#[test]
fn messages_to_the_systems_log_are_under_the_name_that_the_boot_or_the_request_gave() {
    for (env, of_the_boot) in [
        ("", None),
        ("env = { SET_BY_BOOT = \"on\" }", Some("boot: ")),
    ] {
        let server = workers(&format!("num = 1\n{env}")).start();
        for text in ["one", "two"] {
            ask(&server, &format!("log&as=left&text={text}")).expect(200);
            ask(&server, &format!("log&text=after_{text}")).expect(200);
        }
        ask(&server, "log&as=last&text=last").expect(200);
        server.log().wait_text("last: last");
        server.log().wait_text("left: one");
        server.log().wait_text("left: two");
        for after in ["after_one", "after_two"] {
            let said = server.log().all_with(&format!(": {after}"));
            assert_eq!(said.len(), usize::from(of_the_boot.is_some()), "{said:?}");
            if let Some(name) = of_the_boot {
                assert!(said[0].to_string().contains(name), "{said:?}");
            }
        }
    }
}

#[test]
fn shutdown_functions_run_at_the_end_of_their_own_request() {
    let server = one();
    ask(&server, "leave");
    eventually("the shutdown function ran", || {
        (server.folder().read("shutdown").lines().count() == 1).then_some(())
    });
    ask(&server, "hello").expect(200);
    ask(&server, "hello").expect(200);
    assert_eq!(server.folder().read("shutdown"), "/worker.php?do=leave\n");
}

#[test]
fn destructors_of_what_a_request_leaves_behind_are_never_heard_by_another_client() {
    let server = one();
    for _ in 0..2 {
        assert_eq!(
            ask(&server, "speakers").expect(200).text(),
            "Speaker get post cookie server files request session "
        );
        server.log().wait_text("an error handler ");
        assert_eq!(ask(&server, "hello").text(), "hello");
    }
    // Symfony's runtime and others end their work on a request behind it, with what it began with.
    let changed = "[\"do=speakers\",{\"do\":\"speakers\"},[],[]]\n";
    assert_eq!(server.folder().read("changed"), changed.repeat(2));
    assert_eq!(boots(&server), 1);
}

#[test]
fn digest_credentials_are_gone_with_their_request() {
    let server = one();
    let request =
        Request::get("/worker.php?do=traces").header("Authorization", "Digest username=\"u\"");
    assert_eq!(server.send(&request).json()["digest"], "username=\"u\"");
    assert_eq!(ask(&server, "traces").json()["digest"], Value::Null);
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
