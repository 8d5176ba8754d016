//! The metrics: what Prometheus thinks of them, and whether they are true.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use troupe_tests::{Request, exits, nodes};

use crate::{POOL, admin, hanging, setup, text};

/// Prometheus' own checker: complains of what it can't read, and of names that are not in its style.
fn promtool(page: &str) -> Output {
    let build = concat!(env!("CARGO_MANIFEST_DIR"), "/../php-src-build/promtool.sh");
    let found = Command::new(build).output().unwrap();
    assert!(found.status.success(), "{}", text(&found.stderr));
    let promtool = text(&found.stdout);
    let mut checker = Command::new(Path::new(promtool.trim()))
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    checker
        .stdin
        .take()
        .unwrap()
        .write_all(page.as_bytes())
        .unwrap();
    checker.wait_with_output().unwrap()
}

#[test]
fn the_metrics_pass_prometheus_own_check_and_are_true() {
    let background = concat!(env!("CARGO_MANIFEST_DIR"), "/php/background/worker.php");
    let server = setup("num = 2")
        // Of one name with the other: allowed, since they are of different kinds.
        .background(background, "name = \"worker\"\nnum = 1")
        .start();
    for what in ["hello", "hello", "throw", "exit"] {
        server.get(&format!("/worker.php?do={what}"));
    }
    server.get("/plain.php").expect(200);
    server.node_once(POOL, "the exits are told", |pool| {
        exits(pool, "fatal_error") + exits(pool, "exited") == 2
    });
    let page = admin(&server, "GET", "/metrics").expect(200);
    let content_type = page.header("content-type").unwrap();
    assert!(
        content_type.starts_with("text/plain; version=0.0.4"),
        "{content_type}"
    );
    let checked = promtool(page.text());
    let complaints = text(&checked.stderr);
    // It can read all of it. Four of FrankenPHP's names are older than the style.
    let code = checked.status.code();
    assert!(matches!(code, Some(0 | 3)), "{code:?}: {complaints}");
    for complaint in complaints.lines() {
        let name = complaint.split(' ').next().unwrap();
        let is_given = matches!(
            name,
            "frankenphp_worker_crashes"
                | "frankenphp_worker_restarts"
                | "frankenphp_worker_request_time"
                | "frankenphp_worker_request_count"
        );
        assert!(is_given, "{complaint}");
    }

    let franken = |name: &str| {
        server.metric(&format!(
            "frankenphp_{name}{{worker=\"worker\",server=\"default\",kind=\"http\"}}"
        ))
    };
    assert_eq!(franken("total_workers"), 2.0);
    assert_eq!(franken("ready_workers"), 2.0);
    assert_eq!(franken("busy_workers"), 0.0);
    assert_eq!(franken("worker_queue_depth"), 0.0);
    assert_eq!(franken("worker_crashes"), 1.0);
    assert_eq!(franken("worker_restarts"), 1.0);
    assert_eq!(franken("worker_request_count"), 4.0);
    assert!(franken("worker_request_time") > 0.0);
    let threads = server.metric("frankenphp_total_threads");
    assert_eq!(server.metric("frankenphp_busy_threads"), 3.0);
    assert_eq!(server.metric("frankenphp_queue_depth"), 0.0);

    const LABELS: &str = "site=\"default\",pool=\"worker\",kind=\"http\"";
    let own = |name: &str, more: &str| server.metric(&format!("troupe_{name}{{{LABELS}{more}}}"));
    assert_eq!(own("workers", ",state=\"ready\""), 2.0);
    assert_eq!(own("worker_exits_total", ",reason=\"fatal_error\""), 1.0);
    assert_eq!(own("worker_exits_total", ",reason=\"exited\""), 1.0);
    assert_eq!(own("queue_depth", ""), 0.0);
    for histogram in ["request_wait_seconds", "request_service_seconds"] {
        assert_eq!(own(&format!("{histogram}_count"), ""), 4.0);
        assert_eq!(own(&format!("{histogram}_bucket"), ",le=\"+Inf\""), 4.0);
        assert!(own(&format!("{histogram}_sum"), "") > 0.0);
    }
    let memory = |worker: &str| own("worker_memory_bytes", &format!(",worker=\"{worker}\""));
    assert!(memory("1") + memory("2") > 10_000.0);
    server.metric("troupe_mailbox_depth");
    assert_eq!(server.metric("troupe_lost_threads_total"), 0.0);
    // Every node of the tree is one.
    let tree = server.tree();
    assert_eq!(server.metric("troupe_actors"), nodes(&tree).len() as f64);
    let is_worker = |node: &&&Value| node["kind"].as_str().unwrap().ends_with("_worker");
    assert_eq!(
        threads,
        nodes(&tree).iter().filter(is_worker).count() as f64
    );
}

#[test]
fn busy_and_waiting_are_measured_while_they_are() {
    let server = setup("num = 1").start();
    let _running = hanging(&server, "wait");
    let mut waiting = server.connect();
    waiting.send(&Request::get("/worker.php"));
    server.node_once(POOL, "it waits", |pool| pool["queue"]["depth"] == 1);
    let labels = "worker=\"worker\",server=\"default\",kind=\"http\"";
    assert_eq!(
        server.metric(&format!("frankenphp_busy_workers{{{labels}}}")),
        1.0
    );
    assert_eq!(
        server.metric(&format!("frankenphp_worker_queue_depth{{{labels}}}")),
        1.0
    );
    let labels = "site=\"default\",pool=\"worker\",kind=\"http\"";
    assert_eq!(
        server.metric(&format!("troupe_queue_depth{{{labels}}}")),
        1.0
    );
    server.folder().write("go", "");
    waiting.response().expect(200);
}
