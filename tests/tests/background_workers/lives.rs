//! How a worker's script ends, and what becomes of it: the restart policy acts, the tree shows it, readers keep
//! what was published.

use serde_json::{Value, json};
use troupe_tests::{Request, Server, Setup, eventually};

use crate::{node, read, steer};

const POOL: &str = "site:default:background:it";

/// A worker `it` whose lives end as the plan says, one line for each.
fn lives(lines: &str, plan: &[&str]) -> Server {
    let setup =
        Setup::serving("background").background("lives.php", &format!("name = \"it\"\n{lines}"));
    setup.folder().write("lives", plan.join("\n"));
    setup.start()
}

/// The same, started by its first use.
fn lazy(lines: &str, plan: &[&str]) -> Server {
    let setup = Setup::serving("background").background("lives.php", lines);
    setup.folder().write("lives", plan.join("\n"));
    setup.start()
}

fn lived(server: &Server) -> usize {
    server.folder().read("lived").lines().count()
}

#[track_caller]
fn lives_to(server: &Server, number: u64) {
    eventually("its next life", || {
        let vars = read(server, "name=it");
        (vars["value"]["life"] == number).then_some(())
    });
}

#[track_caller]
fn has_exit(server: &Server, reason: &str) -> Value {
    eventually(reason, || {
        let worker = node(server, &format!("{POOL}:1"));
        (worker["last_exit"]["reason"] == reason).then_some(worker)
    })
}

#[test]
fn every_end_brings_a_permanent_worker_back() {
    for (end, reason) in [
        ("return", "returned"),
        ("exit0", "returned"),
        ("exit1", "exited"),
        ("throw", "fatal_error"),
        ("fatal", "fatal_error"),
        ("memory", "fatal_error"),
    ] {
        let plan = [&*format!("ready publish {end}"), "ready publish stay"];
        for server in [lives("", &plan), lazy("", &plan)] {
            lives_to(&server, 2);
            let worker = has_exit(&server, reason);
            assert_eq!(
                (&worker["state"], &worker["generation"]),
                (&json!("ready"), &json!(2)),
                "{end}"
            );
            assert_eq!(node(&server, POOL)["exits"], json!({reason: 1}), "{end}");
            if reason == "fatal_error" || end == "exit1" {
                server
                    .log()
                    .wait_text("background worker exited, restarting");
            }
            if end == "throw" {
                let exit = worker["last_exit"].clone();
                assert!(
                    exit["message"].as_str().unwrap().contains("life 1"),
                    "{exit}"
                );
                assert!(
                    exit["file"].as_str().unwrap().ends_with("lives.php"),
                    "{exit}"
                );
                assert!(exit["line"].as_u64().unwrap() > 1, "{exit}");
            }
        }
    }
}

#[test]
fn a_clean_end_lets_a_transient_worker_rest_and_another_does_not() {
    for end in ["return", "exit0"] {
        let server = lives(
            "restart = \"transient\"",
            &[&format!("ready publish {end}"), "ready publish stay"],
        );
        eventually("it rests", || {
            (node(&server, &format!("{POOL}:1"))["state"] == "stopped").then_some(())
        });
        assert_eq!(lived(&server), 1);
    }
    let server = lives(
        "restart = \"transient\"",
        &["ready publish exit1", "ready publish stay"],
    );
    lives_to(&server, 2);
}

#[test]
fn a_temporary_worker_rests_whatever_its_end_and_readers_keep_what_it_published() {
    for end in ["return", "throw"] {
        let server = lives(
            "restart = \"temporary\"",
            &[&format!("ready publish {end}"), "ready publish stay"],
        );
        eventually("it rests", || {
            (node(&server, &format!("{POOL}:1"))["state"] == "stopped").then_some(())
        });
        // The first use after its end starts it again; meanwhile its last snapshot holds.
        let vars = read(&server, "name=it");
        assert!(vars["value"]["life"].is_u64(), "{vars}");
        lives_to(&server, 2);
    }
}

#[test]
fn a_reader_of_a_worker_that_rests_does_not_wait_for_nothing() {
    let server = lazy(
        "restart = \"temporary\"",
        &["ready return", "throw", "ready publish stay"],
    );
    // It ends without having published.
    assert_eq!(
        read(&server, "name=it")["error"],
        "RuntimeException: background worker has ended: it: returned"
    );
    let failed = read(&server, "name=it");
    let text = failed["error"].as_str().unwrap();
    assert!(
        text.contains("background worker has ended: it: fatal_error") && text.contains("life 2"),
        "{text}"
    );
    assert_eq!(read(&server, "name=it")["value"]["life"], 3);
}

#[test]
fn after_a_crash_the_last_snapshot_is_served_until_there_is_a_new_one() {
    let plan = ["ready publish await throw", "ready await publish stay"];
    let server = lives("", &plan);
    lives_to(&server, 1);
    server.folder().write("go-1", "");
    eventually("it is back", || (lived(&server) == 2).then_some(()));
    has_exit(&server, "fatal_error");
    assert_eq!(read(&server, "name=it&timeout=0")["value"]["life"], 1);
    server.folder().write("go-2", "");
    lives_to(&server, 2);
}

#[test]
fn a_deliberate_restart_discards_the_snapshot() {
    let plan = [
        "ready publish stay",
        "ready await publish stay",
        "ready await publish stay",
    ];
    for (server, go) in [(lives("", &plan), 2), (lazy("", &plan), 2)] {
        lives_to(&server, 1);
        for life in go..=3 {
            if life == 2 {
                steer(&server, POOL, "restart");
            } else {
                let restart = Request::new("POST", "/frankenphp/workers/restart");
                server.admin(&restart).expect(200);
            }
            assert_eq!(
                read(&server, "name=it&timeout=0")["error"],
                "RuntimeException: timeout waiting for background worker: it",
                "before life {life} has published"
            );
            server.folder().write(&format!("go-{life}"), "");
            lives_to(&server, life);
        }
    }
}

#[test]
fn a_watched_file_restarts_lazily_started_workers_too_and_discards_their_snapshot() {
    let folder = troupe_tests::Folder::new();
    folder.write("code.php", "<?php");
    let watch = format!("watch = [\"{}/*.php\"]", folder.path().display());
    let server = lazy(&watch, &["ready publish stay", "ready await publish stay"]);
    lives_to(&server, 1);
    folder.write("code.php", "<?php // changed");
    eventually("it lives again", || (lived(&server) == 2).then_some(()));
    server.log().wait_text("files have changed: restarted");
    assert!(read(&server, "name=it&timeout=0")["error"].is_string());
    server.folder().write("go-2", "");
    lives_to(&server, 2);
}

#[test]
fn a_reader_waits_through_restarts_for_the_first_publish() {
    let server = lazy("", &["ready throw", "ready exit0", "ready publish stay"]);
    assert_eq!(read(&server, "name=it")["value"]["life"], 3);
}

#[test]
fn a_worker_that_cannot_boot_gives_its_readers_its_error_long_before_their_timeout() {
    let lines = "max_consecutive_failures = 2\nbackoff = \"1ms\"\nbackoff_max = \"1h\"";
    for server in [lives(lines, &["throw"]), lazy(lines, &["throw"])] {
        let answer = read(&server, "name=it&timeout=600");
        let text = answer["error"]
            .as_str()
            .unwrap_or_else(|| panic!("{answer}"));
        assert!(
            text.starts_with("RuntimeException: background worker failed to boot: it: "),
            "{text}"
        );
        let previous = answer["previous"].as_str().unwrap();
        for part in ["DomainException: life ", "lives.php:"] {
            assert!(text.contains(part) && previous.contains(part), "{answer}");
        }
        // Readers are told at once, and the tree when the pool is down.
        eventually("the tree says how the pool ended", || {
            let pool = node(&server, POOL);
            let said = pool["last_exit"]["message"].as_str()?;
            said.contains("life").then_some(())
        });
    }
}

#[test]
fn six_failed_boots_in_a_row_are_too_many_and_the_next_call_tries_again() {
    let plan = [
        "throw",
        "throw",
        "throw",
        "throw",
        "throw",
        "throw",
        "ready publish stay",
    ];
    // The site would try again by itself only after an hour.
    let server = lazy(
        "backoff = \"1ms\"\nbackoff_max = \"2ms\"\nintensity = 100",
        &plan,
    );
    let answer = read(&server, "name=it&timeout=600");
    assert!(
        answer["error"].as_str().unwrap().contains("6 failed boots"),
        "{answer}"
    );
    assert!(lived(&server) >= 6);
    assert_eq!(read(&server, "name=it")["value"]["life"], 7);
}

#[test]
fn a_script_that_returns_before_it_was_ready_has_failed_to_boot() {
    let server = lazy(
        "max_consecutive_failures = 1",
        &["return", "ready publish stay"],
    );
    let answer = read(&server, "name=it");
    assert!(
        answer["error"].as_str().unwrap().contains("returned"),
        "{answer}"
    );
    server.log().wait_text("exited before it was ready");
}

#[test]
fn senders_too_are_told_why_a_worker_cannot_boot() {
    let server = lazy(
        "max_consecutive_failures = 1\nbackoff_max = \"1h\"",
        &["fatal"],
    );
    let answer = server.get("/page.php?do=task&name=it").expect(200).json();
    let text = answer["refused"]
        .as_str()
        .or(answer["error"].as_str())
        .unwrap();
    assert!(text.contains("no_such_function()"), "{answer}");
}
