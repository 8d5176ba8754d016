//! Reading copies nothing that was not published anew, and nothing is kept that nobody reads.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use troupe_tests::{Server, Setup};

use crate::read;

fn values() -> Setup {
    Setup::serving("background").background("values.php", "")
}

/// A page of its own for each read, and one script for all.
fn both(check: impl Fn(&Server)) {
    check(&values().php("threads = 1").start());
    check(&values().worker("read.php", "num = 1").start());
}

#[test]
fn an_unchanged_snapshot_is_the_same_array_again() {
    both(|server| {
        for name in ["large-1000000", "everything"] {
            for _ in 0..2 {
                let answer = read(server, &format!("name={name}&do=same"));
                assert_eq!(
                    answer,
                    json!({"same": true, "grown": 0, "kept": true}),
                    "{name}"
                );
            }
        }
    });
}

#[test]
fn ten_thousand_reads_of_a_megabyte_take_no_memory() {
    both(|server| {
        let answer = read(server, "name=large-1000000&do=memory");
        assert_eq!(answer["bytes"], 1_000_000);
        // Not a byte for each read; PHP's own caches take a little once.
        assert!(answer["grown"].as_u64().unwrap() < 4096, "{answer}");
    });
}

#[test]
fn a_worker_script_keeps_its_copy_of_a_snapshot_from_one_request_to_the_next() {
    let server = values().worker("read.php", "num = 1").start();
    read(&server, "name=large-1000000&do=memory");
    let before = rss(&server);
    for _ in 0..200 {
        read(&server, "name=large-1000000&do=memory");
    }
    // Copies would be 200 MB.
    assert!(
        rss(&server) < before + 50_000,
        "{before} kB, then {} kB",
        rss(&server)
    );
}

#[test]
fn a_reader_sees_each_snapshot_whole_and_keeps_what_it_read() {
    both(|server| {
        let mut read_before = 0;
        for _ in 0..2 {
            let seen = read(server, "name=counting&do=changes");
            assert_eq!(seen["from"], read_before);
            read_before += 50;
            assert_eq!(
                (&seen["to"], &seen["distinct"]),
                (&json!(read_before), &json!(51))
            );
            // One letter for each: a mixture would show more.
            assert_eq!(seen["pads"].as_str().unwrap().len(), 51);
        }
    });
}

#[test]
fn what_a_worker_script_has_kept_of_a_snapshot_outlives_it() {
    let server = values().worker("read.php", "num = 1").start();
    for times in 1..=20 {
        assert_eq!(
            read(&server, "name=counting&do=outlives"),
            json!([0, times, 1000])
        );
    }
}

#[test]
fn an_identical_snapshot_is_not_published_again() {
    // The reader would find another array; and the worker's own memory would be copied each time.
    let server = values().worker("read.php", "num = 1").start();
    assert_eq!(read(&server, "name=identical&do=same")["same"], true);
    read(&server, "name=identical&do=publish&times=1000");
    assert_eq!(read(&server, "name=identical&do=same")["grown"], 0);
}

#[test]
fn a_hundred_thousand_publishes_with_readers_take_no_memory() {
    let server = values()
        .php("threads = 2")
        .worker("read.php", "num = 2")
        .start();
    // What grows once has grown by then.
    publish(&server, 10_000);
    let before = rss(&server);
    publish(&server, 100_000);
    let after = rss(&server);
    // A snapshot is more than a kilobyte: a hundred megabytes, were they kept.
    assert!(after < before + 20_000, "{before} kB, then {after} kB");
}

/// Has a worker publish so often while others read, one request after another and one for ever.
fn publish(server: &Server, times: usize) {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let vars = read(server, "name=counting");
                    assert_eq!(vars["value"]["pad"].as_str().unwrap().len(), 1000);
                }
            });
        }
        for _ in 0..times / 1000 {
            read(server, "name=counting&do=publish&times=1000");
        }
        done.store(true, Ordering::Relaxed);
    });
}

/// The server's memory, in kilobytes.
#[track_caller]
fn rss(server: &Server) -> u64 {
    let status = Path::new("/proc")
        .join(server.pid().to_string())
        .join("status");
    let status = std::fs::read_to_string(status).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
