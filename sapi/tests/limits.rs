//! PHP's own time limit counts wall-clock time and ends a script wherever it is.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::net::TcpListener;

use common::Pool;
use troupe_sapi::ScriptExit;

const SAYS_WHY: &str = "Maximum execution time of 1 second exceeded";

/// Runs a script under its own limit of one second and returns what it had printed.
fn run_out_of_time(pool: &Pool, script: &str, query: &str) -> String {
    let (status, body) = pool.ask(script, query);
    assert!(body.contains(SAYS_WHY), "{query}: {status} {body}");
    assert!(!body.contains("after"), "{query}: {body}");
    body
}

#[test]
fn a_time_limit_ends_loops_and_calls_that_block() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let pool = Pool::classic();
    for what in ["sleep", "usleep", "fread", "stream_select", "curl", "pgsql"] {
        run_out_of_time(
            &pool,
            "blocking.php",
            &format!("do={what}&port={port}&limit=1"),
        );
    }
    run_out_of_time(&pool, "limits.php", "do=loop");
    let ends = pool.stop();
    assert!(
        ends.iter()
            .all(|end| matches!(end.exit, ScriptExit::Failed(_))),
        "{ends:?}"
    );
}

#[test]
fn a_time_limit_ends_a_script_that_never_looks_for_an_interrupt() {
    let pool = Pool::classic();
    run_out_of_time(&pool, "limits.php", "do=straight_on");
    pool.stop();
}

#[test]
fn a_limit_passed_inside_the_loop_of_a_function_that_sleeps_ends_it() {
    let pool = Pool::classic();
    run_out_of_time(&pool, "limits.php", "do=sleeping_loop");
    pool.stop();
}

#[test]
fn shutdown_functions_run_after_a_time_limit_and_are_limited_themselves() {
    let pool = Pool::classic();
    let body = run_out_of_time(&pool, "limits.php", "do=endless_shutdown");
    assert!(body.contains("last words"), "{body}");
    assert_eq!(body.matches(SAYS_WHY).count(), 2, "{body}");
    assert_eq!(
        pool.ask("hello.php", "n=1"),
        (200, "hello you 1 body".into())
    );
    pool.stop();
}

#[test]
fn a_worker_survives_a_time_limit_and_the_next_request_has_all_its_time() {
    let pool = Pool::worker("worker.php");
    run_out_of_time(&pool, "", "do=limited_sleep");
    assert_eq!(pool.ask("", "a=1"), (200, "request 1 of w1 a=1".into()));
    assert_eq!(pool.ask("", "do=sleep_a_while"), (200, "slept".into()));
    pool.stop();
}
