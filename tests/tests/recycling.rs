//! Worker scripts are started afresh on purpose: by their limits, by changed files, by signals. No request is
//! lost, and nothing of it counts as a failure.

#![allow(
    clippy::unwrap_used,
    reason = "in a test, what can't be done is a failure, and the panic says where"
)]

use std::sync::atomic::{AtomicU64, Ordering};

use rustix::process::Signal;
use troupe_tests::{Server, Setup, eventually, exits};

const POOL: &str = "site:default:http:worker";

fn workers(lines: &str) -> Server {
    Setup::serving("workers")
        .worker("worker.php", lines)
        .start()
}

fn boots(server: &Server) -> usize {
    server.folder().read("boots").lines().count()
}

/// All exits so far were by `reason`, and none was a failure.
#[track_caller]
fn only_recycled(server: &Server, reason: &str) -> u64 {
    let pool = server.node(POOL);
    let all = pool["exits"].as_object().unwrap();
    assert_eq!(all.keys().collect::<Vec<_>>(), [reason], "{pool}");
    assert_eq!(pool["failures"]["in_window"], 0, "{pool}");
    exits(&pool, reason)
}

/// Waits for so many more answers.
fn more(answers: &AtomicU64, count: u64) {
    let before = answers.load(Ordering::SeqCst);
    eventually("the clients get on", || {
        (answers.load(Ordering::SeqCst) >= before + count).then_some(())
    });
}

#[test]
fn a_worker_is_started_afresh_after_max_requests_and_no_request_is_lost() {
    let server = workers("num = 2\nmax_requests = 10");
    // One that has reached its limit goes on serving while the other one boots.
    server.under_load(4, "/worker.php", "hello", |_| {
        server.node_once(POOL, "twenty lives are over", |pool| {
            exits(pool, "max_requests") >= 20
        });
    });
    only_recycled(&server, "max_requests");
    eventually("all of them booted again", || {
        (boots(&server) as u64 == 2 + exits(&server.node(POOL), "max_requests")).then_some(())
    });
}

#[test]
fn a_worker_is_started_afresh_when_it_is_old_also_when_nobody_asks_it_for_anything() {
    let server = workers("num = 2\nttl = \"200ms\"");
    server.under_load(2, "/worker.php", "hello", |_| {
        eventually("both were recycled", || (boots(&server) >= 6).then_some(()));
    });
    let before = boots(&server);
    eventually("they are recycled while they idle", || {
        (boots(&server) > before + 2).then_some(())
    });
    only_recycled(&server, "ttl");
}

#[test]
fn a_worker_that_leaks_is_started_afresh_when_it_has_grown_beyond_max_memory() {
    let server = workers("num = 1\nmax_memory = \"8MiB\"");
    let kept = |turn: usize| {
        let answer = server.get("/worker.php?do=leak").expect(200);
        let kept: usize = answer.text().parse().unwrap();
        assert!(kept <= 8, "{kept} MiB are kept at request {turn}");
        kept
    };
    let starts = (0..40).map(kept).filter(|kept| *kept == 1).count();
    assert!((5..10).contains(&starts), "{starts} lives");
    server.node_once(POOL, "the lives that are over are told", |pool| {
        exits(pool, "max_memory") >= starts as u64 - 1
    });
    only_recycled(&server, "max_memory");
    let memory = server.metric(
        "troupe_worker_memory_bytes{site=\"default\",pool=\"worker\",kind=\"http\",worker=\"1\"}",
    );
    assert!(memory > 1e6, "{memory}");
}

#[test]
fn changed_files_restart_the_worker_under_load_and_no_request_is_lost() {
    let script = b"<?php
        file_put_contents($_SERVER['SCRATCH'] . '/boots', \"\\n\", FILE_APPEND);
        $version = require __DIR__ . '/src/version.php';
        $serve = fn () => print($_SERVER['QUERY_STRING'] === 'version' ? $version : 'hello');
        while (frankenphp_handle_request($serve));";
    let setup = Setup::with_files(&[
        ("worker.php", script),
        ("src/version.php", b"<?php return 'one';"),
    ]);
    let server = setup
        .worker("worker.php", "num = 2\nwatch = [\"www/src/**/*.php\"]")
        .start();
    let version = || {
        server
            .get("/worker.php?version")
            .expect(200)
            .text()
            .to_owned()
    };
    assert_eq!(version(), "one");
    eventually("both are up", || (boots(&server) == 2).then_some(()));
    server.under_load(4, "/worker.php", "hello", |answers| {
        more(answers, 100);
        // A burst, as a deployment makes it; the last word counts.
        for number in 0..50 {
            let other = format!("www/src/{number}.php");
            server.folder().write(&other, "<?php");
        }
        server
            .folder()
            .write("www/src/version.php", "<?php return 'two';");
        eventually("the new code is served", || {
            (version() == "two").then_some(())
        });
        eventually("by both", || {
            (boots(&server) >= 4 && (0..20).all(|_| version() == "two")).then_some(())
        });
        more(answers, 100);
    });
    server.log().wait_text("files have changed: restarted");
    let restarts = server.log().all_with("files have changed: restarted").len();
    assert!(
        (1..10).contains(&restarts),
        "{restarts} restarts for one burst"
    );
    only_recycled(&server, "stopped");
}

#[test]
fn sigusr2_and_sighup_restart_every_worker_under_load_and_no_request_is_lost() {
    let server = workers("num = 2");
    eventually("both are up", || (boots(&server) == 2).then_some(()));
    server.under_load(4, "/worker.php", "hello", |answers| {
        for (turn, signal) in [Signal::USR2, Signal::HUP, Signal::USR2]
            .into_iter()
            .enumerate()
        {
            more(answers, 50);
            server.signal(signal);
            eventually("both were started afresh", || {
                let restarted = server.log().all_with("every worker was restarted");
                (restarted.len() == turn + 1).then_some(())
            });
            assert_eq!(boots(&server), 4 + 2 * turn);
        }
    });
    assert_eq!(only_recycled(&server, "stopped"), 6);
    let left = server.folder().read("ends");
    assert_eq!(left.lines().count(), 6, "each left its loop by itself");
}
