//! What a worker script can do wrong: what its client gets, what the tree says, how often the script is started
//! again, and that the clients of its siblings notice nothing.

#![allow(
    clippy::unwrap_used,
    reason = "in a test, what can't be done is a failure, and the panic says where"
)]

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use rustix::process::Signal;
use troupe_tests::{Node, Request, Response, Server, Setup, eventually, exits};

const POOL: &str = "site:default:http:worker";

fn workers(lines: &str) -> Setup {
    Setup::serving("workers")
        .ini("display_errors", "0")
        .ini("memory_limit", "64M")
        .worker("worker.php", lines)
}

fn boots(server: &Server) -> usize {
    server.folder().read("boots").lines().count()
}

fn all_exits(node: &Node) -> u64 {
    let reasons = node["exits"].as_object().into_iter().flatten();
    reasons.map(|(_, count)| count.as_u64().unwrap()).sum()
}

/// One fault of a script, and what is to come of it.
struct Fault {
    what: &'static str,
    /// The client's.
    status: u16,
    text: &'static str,
    /// The tree's: reason and message of the last exit.
    reason: &'static str,
    message: &'static str,
}

const FAULTS: [Fault; 11] = [
    Fault {
        what: "handler",
        status: 200,
        text: "said",
        reason: "fatal_error",
        message: "Allowed memory size",
    },
    Fault {
        what: "handler+below",
        status: 200,
        text: "said",
        reason: "fatal_error",
        message: "Allowed memory size",
    },
    Fault {
        what: "exception+handler",
        status: 200,
        text: "said",
        reason: "fatal_error",
        message: "Allowed memory size",
    },
    Fault {
        what: "exit",
        status: 200,
        text: "said",
        reason: "exited",
        message: "",
    },
    Fault {
        what: "throw",
        status: 500,
        text: "",
        reason: "fatal_error",
        message: "on purpose",
    },
    Fault {
        what: "fatal",
        status: 500,
        text: "",
        reason: "fatal_error",
        message: "undefined_function()",
    },
    Fault {
        what: "crash&every=1",
        status: 500,
        text: "",
        reason: "fatal_error",
        message: "undefined_function()",
    },
    Fault {
        what: "memory",
        status: 500,
        text: "",
        reason: "fatal_error",
        message: "Allowed memory size",
    },
    Fault {
        what: "loop",
        status: 504,
        text: "",
        reason: "deadline",
        message: "",
    },
    Fault {
        what: "sleep",
        status: 504,
        text: "",
        reason: "deadline",
        message: "",
    },
    Fault {
        what: "read",
        status: 504,
        text: "",
        reason: "deadline",
        message: "",
    },
];

#[test]
fn each_fault_ends_one_request_and_restarts_one_script_once() {
    for fault in FAULTS {
        let Fault { what, reason, .. } = fault;
        let server = workers("num = 2\ndeadline = \"1500ms\"").start();
        eventually("both are up", || (boots(&server) == 2).then_some(()));
        server.under_load(2, "/worker.php", "hello", |answers| {
            let response = server.get(&format!("/worker.php?do={what}"));
            assert_eq!(
                (response.status, response.text()),
                (fault.status, fault.text),
                "{what}"
            );
            eventually("the script is started again", || {
                (boots(&server) == 3).then_some(())
            });
            let so_far = answers.load(Ordering::SeqCst);
            eventually("the others get on", || {
                (answers.load(Ordering::SeqCst) > so_far + 20).then_some(())
            });
        });
        let pool = server.node_once(POOL, "the exit is in the tree", |pool| all_exits(pool) > 0);
        assert_eq!(
            (exits(&pool, reason), all_exits(&pool)),
            (1, 1),
            "{what}: {pool}"
        );
        assert_eq!(pool["failures"]["in_window"], 0, "{what} is no failed boot");
        let workers = pool["children"].as_array().unwrap();
        let mut hit = workers
            .iter()
            .filter(|worker| !worker["last_exit"].is_null());
        let (worker, others) = (hit.next().unwrap(), hit.count());
        assert_eq!(others, 0, "{what}: {pool}");
        let exit = &worker["last_exit"];
        assert_eq!(exit["reason"], reason, "{what}");
        let message = exit["message"].as_str().unwrap_or_default();
        assert!(message.contains(fault.message), "{what}: {exit}");
        if !fault.message.is_empty() {
            assert!(
                exit["file"].as_str().unwrap().ends_with("worker.php"),
                "{exit}"
            );
            assert!(exit["line"].as_u64().unwrap() > 0, "{exit}");
        }
        assert_eq!(worker["generation"], 2, "{what}: {worker}");
        assert_eq!(boots(&server), 3, "{what}: one restart");
    }
}

#[test]
fn a_script_that_crashes_at_every_third_request_fails_exactly_those() {
    let server = workers("num = 1").start();
    for turn in 1..=30 {
        let response = server.get("/worker.php?do=crash&every=3");
        match turn % 3 {
            0 => response.expect(500),
            _ => response.expect(200),
        };
    }
    let pool = server.node_once(POOL, "ten exits", |pool| all_exits(pool) == 10);
    assert_eq!(exits(&pool, "fatal_error"), 10);
    eventually("it is started again each time", || {
        (boots(&server) == 11).then_some(())
    });
}

/// What is asked, and what the answer must be.
fn mixed(turn: u64) -> (String, u16, String) {
    let target = |what: &str| format!("/worker.php?do={what}");
    let fault = |what: &str, status: u16, text: &str| (target(what), status, text.to_owned());
    match turn {
        _ if turn % 25_000 == 1 => fault("loop", 504, ""),
        _ if turn % 25_000 == 2 => fault("sleep", 504, ""),
        _ if turn % 25_000 == 3 => fault("read", 504, ""),
        _ if turn % 1000 == 4 => fault("memory", 500, ""),
        _ if turn % 200 == 5 => fault("throw", 500, ""),
        _ if turn % 200 == 6 => fault("fatal", 500, ""),
        _ if turn % 200 == 7 => fault("exit", 200, "said"),
        _ => (target(&format!("echo&n={turn}")), 200, turn.to_string()),
    }
}

#[test]
fn a_hundred_thousand_requests_of_a_mix_of_faults_are_each_answered_right() {
    const REQUESTS: u64 = 100_000;
    let server = workers("num = 4\ndeadline = \"2s\"\nmax_requests = 50\nmax_memory = \"24MiB\"")
        .server("access_log = \"off\"")
        .start();
    let next = AtomicU64::new(0);
    let right = |response: &Response, turn: u64, leaks: bool| {
        let (target, status, text) = mixed(turn);
        let is_right = match leaks {
            true => response.status == 200,
            false => (response.status, response.text()) == (status, text.as_str()),
        };
        assert!(
            is_right,
            "{target}: {} {}",
            response.status,
            response.text()
        );
    };
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut client = server.connect();
                loop {
                    let turn = next.fetch_add(1, Ordering::SeqCst);
                    if turn >= REQUESTS {
                        return;
                    }
                    let leaks = turn % 100 == 99;
                    let target = match leaks {
                        true => "/worker.php?do=leak".to_owned(),
                        false => mixed(turn).0,
                    };
                    let response = client.request(&Request::get(&target));
                    right(&response, turn, leaks);
                    if response.header("connection") == Some("close") {
                        client = server.connect();
                    }
                }
            });
        }
    });
    let expected = |status: u16, text: &str| {
        let turns = (0..REQUESTS).filter(|turn| turn % 100 != 99);
        let same = turns.filter(|turn| mixed(*turn).1 == status && mixed(*turn).2 == text);
        same.count() as u64
    };
    let pool = server.node_once(POOL, "every exit is in the tree", |pool| {
        exits(pool, "fatal_error") == expected(500, "")
            && exits(pool, "exited") == expected(200, "said")
            && exits(pool, "deadline") == expected(504, "")
    });
    assert_eq!(pool["failures"]["in_window"], 0, "{pool}");
    assert!(exits(&pool, "max_requests") > 0, "{pool}");
    eventually("each exit was followed by a start", || {
        (boots(&server) as u64 == 4 + all_exits(&server.node(POOL))).then_some(())
    });
    let labels = "site=\"default\",pool=\"worker\",kind=\"http\"";
    let served = server.metric(&format!("troupe_request_service_seconds_count{{{labels}}}"));
    assert_eq!(served, REQUESTS as f64);
    assert_eq!(server.metric("troupe_lost_threads_total"), 0.0);
}

#[test]
fn a_slow_request_is_logged_while_it_runs_with_its_stack_uri_and_time() {
    let server = workers("num = 1\nslow_log = \"500ms\"").start();
    server.get("/worker.php").expect(200);
    let mut slow = server.connect();
    // In a call that does not come back to PHP: what slow requests mostly are in.
    slow.send(&Request::get("/worker.php?do=sleep"));
    let record = server.log().wait("the slow request", |record| {
        record["message"] == "slow request"
    });
    assert_eq!(record["uri"], "/worker.php?do=sleep");
    assert_eq!(record["method"], "GET");
    assert_eq!(record["node"], format!("{POOL}:1"));
    assert!(!record["took"].as_str().unwrap().is_empty(), "{record}");
    let stack = record["backtrace"].as_str().unwrap();
    let (first, rest) = stack.split_once('\n').unwrap();
    assert!(
        first.starts_with("#0 ") && first.ends_with("): sleep()"),
        "{stack}"
    );
    assert!(first.contains("worker.php("), "{stack}");
    assert!(rest.contains("frankenphp_handle_request()"), "{stack}");
    server.steer(&format!("{POOL}:1"), "kill");
    slow.response().expect(500);
    let logged = server
        .log()
        .all(|record| record["message"] == "slow request");
    assert_eq!(logged.len(), 1, "once, and the quick one not at all");
}

#[test]
fn a_look_at_the_stack_of_a_script_that_sleeps_does_not_wake_it() {
    let server = workers("num = 1\nslow_log = \"50ms\"").start();
    let mut sleeper = server.connect();
    sleeper.send(&Request::get("/worker.php?do=sleep&seconds=2"));
    server.busy_with("do=sleep");
    for _ in 0..3 {
        server.stack_once(&format!("{POOL}:1"), "): sleep()");
    }
    // PHP's sleep() returns the seconds that are left of it.
    assert_eq!(sleeper.response().expect(200).text(), "0");
}

#[test]
fn a_thread_that_can_not_be_interrupted_is_written_off_replaced_counted_and_logged() {
    let server = workers("num = 1\ndeadline = \"1s\"").start();
    server.get("/worker.php?do=stuck").expect(504);
    assert_eq!(server.get("/worker.php").expect(200).text(), "hello");
    let record = server.log().wait("it is logged", |record| {
        record["message"]
            .to_string()
            .contains("written off and replaced")
    });
    assert_eq!(record["what"], "GET /worker.php?do=stuck");
    let stack = record["backtrace"].as_str().unwrap();
    assert!(
        stack.lines().next().unwrap().ends_with("): preg_match()"),
        "{stack}"
    );
    assert_eq!(server.metric("troupe_lost_threads_total"), 1.0);
    let pool = server.node(POOL);
    assert_eq!(exits(&pool, "thread_lost"), 1, "{pool}");
    // Its end does not wait for the thread either.
    let log = server.stop();
    log.wait_text("stopped; PHP threads that did not end are left behind");
}

#[test]
fn so_many_failed_boots_in_a_row_take_the_pool_down_and_its_site_brings_it_back() {
    let script = b"<?php
        file_put_contents($_SERVER['SCRATCH'] . '/boots', \"\\n\", FILE_APPEND);
        if (!file_exists($_SERVER['SCRATCH'] . '/repaired')) {
            throw new RuntimeException('can not boot');
        }
        while (frankenphp_handle_request(fn () => print('hello')));";
    let server = Setup::with_files(&[("worker.php", script), ("plain.php", b"plain")])
        .worker(
            "worker.php",
            "num = 1\nintensity = 1000\nmax_consecutive_failures = 3\nbackoff = \"10ms\"\nbackoff_max = \"1s\"",
        )
        .start();
    let refused = eventually("the pool is down", || {
        let response = server.get("/worker.php");
        (response.status == 503).then_some(response)
    });
    let seconds: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=30).contains(&seconds), "{seconds}");
    let record = server.log().wait_text("is down; it will be tried again");
    assert!(
        record["why"].as_str().unwrap().contains("can not boot"),
        "{record}"
    );
    assert_eq!(server.get("/plain.php").expect(200).text(), "plain");
    assert!(boots(&server) >= 3);
    server.folder().write("repaired", "");
    eventually("it is back by itself", || {
        (server.get("/worker.php").status == 200).then_some(())
    });
}

#[test]
fn a_handler_whose_destructor_ends_the_script_is_not_called_any_more() {
    for what in ["handler", "handler+below"] {
        let server = workers("num = 1").start();
        server.get(&format!("/worker.php?do={what}")).expect(200);
        server.log().wait_text("Warning:  an error at the end");
        server.log().wait_text("Warning:  another error at the end");
        assert!(!server.folder().join("handled").exists(), "{what}");
    }
}

#[test]
fn a_boot_that_hangs_is_ended_and_a_restart_into_it_names_it_while_the_others_serve_on() {
    let script = b"<?php
        if (file_exists($_SERVER['SCRATCH'] . '/hang')) {
            sleep(1000);
        }
        if ($_SERVER['FRANKENPHP_WORKER_BACKGROUND']) {
            $signals = frankenphp_worker_get_signaling_stream();
            while (fgets($signals) === \"task\\n\");
        } else {
            while (frankenphp_handle_request(fn () => print('hello')));
        }";
    let lines = "num = 2\nboot_timeout = \"1s\"\ngrace = \"1s\"\nintensity = 1000\nmax_consecutive_failures = 1000";
    let server = Setup::with_files(&[("worker.php", script)])
        .worker("worker.php", lines)
        .background("worker.php", &format!("name = \"beside\"\n{lines}"))
        .start();
    let pools = [POOL, "site:default:background:beside"];
    let all_are_ready = || {
        for pool in pools {
            server.node_once(pool, "all are ready", |pool| {
                let workers = pool["children"].as_array().unwrap();
                // None is there at first.
                workers.len() == 2 && workers.iter().all(|worker| worker["state"] == "ready")
            });
        }
    };
    all_are_ready();
    server.folder().write("hang", "");
    server.under_load(1, "/worker.php", "hello", |_| {
        for pool in pools {
            let restart = Request::new("POST", &format!("/nodes/{pool}/restart"));
            assert_eq!(
                server.admin(&restart).expect(500).text().trim_end(),
                format!(
                    "500 the restart of {pool}:1 halted: boot_timeout: its boot has not ended within 1 s; \
                     1 workers keep running what they have"
                )
            );
            server.node_once(pool, "it was ended", |pool| {
                exits(pool, "boot_timeout") > 0
            });
        }
        server
            .log()
            .wait_text("it was not ready within its worker's boot_timeout");
        server.signal(Signal::USR2);
        let record = server.log().wait_text("not every worker was restarted");
        assert!(record["message"].to_string().contains("within 1 s"));
    });
    std::fs::remove_file(server.folder().join("hang")).unwrap();
    all_are_ready();
}

/// A script that keeps a handler whose destructor takes more memory than there is.
fn with_bomb(loop_: &str) -> Server {
    let script = format!(
        "<?php
        class Bomb
        {{
            public function handle() {{ return false; }}
            public function __destruct()
            {{
                file_put_contents($_SERVER['SCRATCH'] . '/destroyed', \"\\n\", FILE_APPEND);
                str_repeat('x', 1 << 30);
            }}
        }}
        file_put_contents($_SERVER['SCRATCH'] . '/boots', \"\\n\", FILE_APPEND);
        {loop_}"
    );
    Setup::with_files(&[("worker.php", script.as_bytes())])
        .ini("memory_limit", "64M")
        .worker("worker.php", "num = 1")
        .start()
}

#[test]
fn what_the_boot_had_set_and_a_request_took_away_is_destroyed_with_the_script_and_ends_only_that() {
    for set in ["error", "exception"] {
        let server = with_bomb(&format!(
            "set_{set}_handler([new Bomb(), 'handle']);
            while (frankenphp_handle_request(function () {{
                restore_{set}_handler();
                exit('said');
            }}));"
        ));
        for _ in 0..2 {
            assert_eq!(
                server.get("/worker.php").expect(200).text(),
                "said",
                "{set}"
            );
        }
        eventually("both were destroyed", || {
            (server.folder().read("destroyed") == "\n\n").then_some(())
        });
    }
}

#[test]
fn output_of_nobody_that_ends_the_script_takes_no_request_along() {
    let server = with_bomb(
        "while (frankenphp_handle_request(fn () => print('said'))) {
            ob_start(function () { str_repeat('x', 1 << 30); });
        }",
    );
    for _ in 0..10 {
        assert_eq!(server.get("/worker.php").expect(200).text(), "said");
    }
    assert!(boots(&server) >= 10);
}

#[test]
fn a_script_that_ends_is_given_no_more_requests() {
    let server = with_bomb(
        "register_shutdown_function(function () {
            try {
                frankenphp_handle_request(fn () => print('at the end'));
            } catch (RuntimeException $refusal) {
                error_log($refusal->getMessage());
            }
        });
        frankenphp_handle_request(fn () => print('said'));",
    );
    for _ in 0..3 {
        assert_eq!(server.get("/worker.php").expect(200).text(), "said");
    }
    server
        .log()
        .wait_text("frankenphp_handle_request() called while its script ends");
}
