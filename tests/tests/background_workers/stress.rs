//! One writer, eight readers, restarts at random. `tests/memory.sh stress` runs it for a minute under valgrind.

use std::thread;
use std::time::{Duration, Instant};

use troupe_tests::{Request, Setup};

/// For how long; `TROUPE_STRESS` says more seconds.
fn duration() -> Duration {
    let seconds = std::env::var("TROUPE_STRESS").ok();
    Duration::from_secs(seconds.map_or(2, |seconds| seconds.parse().unwrap()))
}

#[test]
fn stress() {
    let server = Setup::serving("background")
        .php("threads = 4")
        .worker("check.php", "num = 4\ngrace = \"5s\"")
        .background(
            "writer.php",
            "name = \"writer\"\ngrace = \"5s\"\nintensity = 1000",
        )
        .start();
    let end = Instant::now() + duration();
    let goes_on = || Instant::now() < end;
    let (reads, restarts) = thread::scope(|scope| {
        let server = &server;
        let readers: Vec<_> = (0..8)
            .map(|number| {
                let page = ["/check.php", "/check_classic.php"][number % 2];
                scope.spawn(move || {
                    let mut reads = 0;
                    while goes_on() {
                        let answer = server.get(page).expect(200);
                        assert_eq!(answer.text(), "whole");
                        reads += 1;
                    }
                    reads
                })
            })
            .collect();
        let restarts = scope.spawn(move || {
            let mut restarts = 0;
            while goes_on() {
                let node = ["site:default:background:writer", "site:default:http:check"];
                let action = ["restart", "restart", "kill"][fastrand::usize(..3)];
                let (node, action) = match action {
                    // Requests in hand would be killed too.
                    "kill" => (node[0], action),
                    action => (node[fastrand::usize(..2)], action),
                };
                let steer = Request::new("POST", &format!("/nodes/{node}/{action}"));
                server.admin(&steer).expect(200);
                restarts += 1;
                thread::sleep(Duration::from_millis(fastrand::u64(..200)));
            }
            restarts
        });
        let reads: usize = readers
            .into_iter()
            .map(|reader| reader.join().unwrap())
            .sum();
        (reads, restarts.join().unwrap())
    });
    eprintln!("{reads} times 20 reads, {restarts} restarts");
    assert!(reads > 0 && restarts > 0);
    server.stop();
}
