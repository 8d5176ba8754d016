//! Tasks of all kinds for a while: sixteen senders and a pool of four, with cancels, crashes, slow readers, small and
//! large payloads, kills and rolling restarts. Every task is accounted for, and nothing is left of them.
//!
//! Takes some 15 seconds; `TROUPE_SOAK_SECONDS=300` makes it five minutes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "in a test, what can't be done is a failure, and the panic says where"
)]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use std::{fs, thread};

use serde_json::Value;
use troupe_tests::{Request, Server, Setup, eventually};

const SENDERS: usize = 16;

/// Memory that may come and go in the allocators of so many threads.
const SLACK: u64 = 64 << 20;

type Counts = BTreeMap<String, u64>;

fn seconds() -> u64 {
    let seconds = std::env::var("TROUPE_SOAK_SECONDS");
    seconds.map_or(15, |text| text.parse().expect("a number of seconds"))
}

#[test]
fn every_task_is_accounted_for_and_nothing_is_left() {
    let server = Setup::serving("soak")
        .php("threads = 16")
        .ini("display_errors", "0")
        .background(
            "worker.php",
            "name = \"worker\"\nnum = 4\nmax_queue = 16\nintensity = 1000",
        )
        .start();
    let warm_up = Duration::from_secs(seconds() / 4);
    let mut told = soak(&server, warm_up);
    let before = Footprint::of(&server);
    for (end, count) in soak(&server, Duration::from_secs(seconds()) - warm_up) {
        *told.entry(end).or_default() += count;
    }
    let after = Footprint::of(&server);
    eprintln!("{told:?}\nbefore {before:?}\nafter  {after:?}");

    let counted = |line: &str| metric(&server, line);
    let ended = |outcome: &str| counted(&format!("troupe_tasks_ended_total,outcome={outcome}"));
    let [completed, cancelled, aborted, timed_out] =
        ["completed", "cancelled", "aborted", "timed_out"].map(ended);
    let sent = counted("troupe_tasks_sent_total");
    assert_eq!(told["sent"], sent, "what senders have sent");
    assert_eq!(
        completed + cancelled + aborted,
        sent,
        "every task has ended"
    );
    assert_eq!(timed_out, 0);
    assert_eq!(told["completed"] + told["aborted"] + told["closed"], sent);
    // One that was closed by its sender may have ended by itself just before.
    let closed = told["closed"];
    assert!((told["completed"]..=told["completed"] + closed).contains(&completed));
    assert!((told["aborted"]..=told["aborted"] + closed).contains(&aborted));
    assert!(cancelled <= closed);
    for end in ["completed", "aborted", "closed"] {
        assert!(told[end] > sent / 100, "the soak is of {end} tasks as well");
    }

    assert_eq!(after.actors, before.actors, "actors");
    assert!(
        after.descriptors <= before.descriptors + 4,
        "descriptors: {} before, {} after",
        before.descriptors,
        after.descriptors
    );
    assert!(
        after.memory <= before.memory + SLACK,
        "bytes of memory: {} before, {} after",
        before.memory,
        after.memory
    );
    assert!(
        server
            .log()
            .find(|record| record["level"] == "ERROR" && record["target"] != "php")
            .is_none()
    );
}

/// Lets the senders send for a while, and returns what they have told.
fn soak(server: &Server, time: Duration) -> Counts {
    let is_over = AtomicBool::new(false);
    let ended = AtomicUsize::new(0);
    thread::scope(|scope| {
        let senders: Vec<_> = (0..SENDERS)
            .map(|sender| {
                let (is_over, ended) = (&is_over, &ended);
                scope.spawn(move || {
                    let _counted = Ended(ended);
                    let mut told = Counts::new();
                    while !is_over.load(Ordering::SeqCst) {
                        let answer = server
                            .get(&format!("/page.php?sender={sender}"))
                            .expect(200);
                        let answer: Counts = serde_json::from_slice(&answer.body).unwrap();
                        for (end, count) in answer {
                            *told.entry(end).or_default() += count;
                        }
                    }
                    told
                })
            })
            .collect();
        let begun = Instant::now();
        // A sender that fails ends the soak at once.
        while begun.elapsed() < time && ended.load(Ordering::SeqCst) == 0 {
            disturb(server);
        }
        is_over.store(true, Ordering::SeqCst);
        let mut sum = Counts::new();
        for sender in senders {
            for (end, count) in sender.join().unwrap() {
                *sum.entry(end).or_default() += count;
            }
        }
        sum
    })
}

struct Ended<'a>(&'a AtomicUsize);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Kills what one of the workers runs, and restarts them all, one after the other.
fn disturb(server: &Server) {
    let pool = "site:default:background:worker";
    thread::sleep(Duration::from_millis(fastrand::u64(50..500)));
    let number = fastrand::u32(1..=4);
    let kill = Request::new("POST", &format!("/nodes/{pool}:{number}/kill"));
    server.admin(&kill).expect(200);
    thread::sleep(Duration::from_millis(fastrand::u64(50..500)));
    // A restart that meets the end of a script halts; that has been tried, too.
    server.admin(&Request::new("POST", &format!("/nodes/{pool}/restart")));
}

/// What the server takes while it has nothing to do.
#[derive(Debug)]
struct Footprint {
    actors: u64,
    descriptors: usize,
    memory: u64,
}

impl Footprint {
    fn of(server: &Server) -> Self {
        eventually("no task is left", || {
            let tree = server
                .admin(&Request::get("/nodes/site:default:tasks"))
                .json();
            tree["children"]
                .as_array()
                .unwrap()
                .is_empty()
                .then_some(())
        });
        eventually("every worker is ready", || {
            let pool = server
                .admin(&Request::get("/nodes/site:default:background:worker"))
                .json();
            let workers = pool["children"].as_array().unwrap();
            let ready = |worker: &Value| worker["state"] == "ready";
            (workers.len() == 4 && workers.iter().all(ready)).then_some(())
        });
        let actors = eventually("the actors have settled", || {
            let first = metric(server, "troupe_actors");
            (first == metric(server, "troupe_actors")).then_some(first)
        });
        let process = format!("/proc/{}", server.pid());
        let pages = fs::read_to_string(format!("{process}/statm")).unwrap();
        let resident: u64 = pages.split(' ').nth(1).unwrap().parse().unwrap();
        Self {
            actors,
            descriptors: fs::read_dir(format!("{process}/fd")).unwrap().count(),
            memory: resident * 4096,
        }
    }
}

/// The value of a metric by its name and one label of it.
fn metric(server: &Server, name_and_label: &str) -> u64 {
    let (name, label) = name_and_label
        .split_once(',')
        .unwrap_or((name_and_label, ""));
    let label = label.replace('=', "=\"");
    let metrics = server.admin(&Request::get("/metrics")).expect(200);
    let wanted = |line: &&str| {
        let after = line.strip_prefix(name);
        after.is_some_and(|rest| rest.starts_with(['{', ' ']) && rest.contains(&label))
    };
    let line = metrics.text().lines().find(wanted).expect("the metric");
    line.rsplit(' ').next().unwrap().parse::<f64>().unwrap() as u64
}
