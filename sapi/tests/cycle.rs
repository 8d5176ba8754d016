//! Many requests one after another keep no memory. `tests/memory.sh` runs the same under valgrind.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use common::Pool;

/// How many requests valgrind wants, where resident memory says nothing: it keeps freed blocks back.
fn under_valgrind() -> Option<usize> {
    let cycles = std::env::var("TROUPE_CYCLES").ok()?;
    Some(cycles.parse().unwrap())
}

/// Resident memory in bytes.
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// Requests of every kind: plain ones, failures, scripts that end early.
fn serve(pool: &Pool, script: &str, requests: usize) {
    const KINDS: &[&str] = &[
        "",
        "",
        "",
        "",
        "fatal+error",
        "",
        "",
        "exit+with+a+status",
        "other+wrappers+and+loaders",
        "unbuffered+levels",
        "other+wrappers+and+loaders",
        "wrappers+that+are+taken+away+at+the+end",
    ];
    for n in 0..requests {
        pool.ask(script, &format!("do={}&n={n}", KINDS[n % KINDS.len()]));
    }
}

fn keeps_no_memory(pool: Pool, script: &str) {
    const REQUESTS: usize = 10_000;
    const SLACK: usize = 2 * 1024 * 1024;
    if let Some(requests) = under_valgrind() {
        serve(&pool, script, requests);
        pool.stop();
        return;
    }
    // Caches fill in the first round; what then grows does so with every request.
    serve(&pool, script, REQUESTS / 2);
    let before = resident();
    serve(&pool, script, REQUESTS);
    let grown = resident().saturating_sub(before);
    pool.stop();
    assert!(
        grown < SLACK,
        "{REQUESTS} requests left {grown} bytes behind"
    );
}

#[test]
fn classic_and_worker_requests_keep_no_memory() {
    keeps_no_memory(Pool::classic(), "ends.php");
    keeps_no_memory(Pool::worker("ends.php"), "");
}
