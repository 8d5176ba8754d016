//! `"stop\n"`, then the grace, then force: whatever a script is in, and whoever wants it gone.

use rustix::process::Signal;
use serde_json::json;
use troupe_tests::{Request, Server, Setup, eventually};

use crate::{read, steer};

/// What `stuck.php` can be in when it is told to stop.
const WAYS: [&str; 5] = ["sleep", "select", "read", "loop", "polite"];

/// A worker for each way; the last two are started by their first use.
fn stuck(lines: &str) -> Server {
    let mut setup = Setup::serving("background")
        .background("stuck.php", &format!("grace = \"100ms\"\n{lines}"));
    for way in &WAYS[..3] {
        let lines = format!("name = {way:?}\ngrace = \"100ms\"\n{lines}");
        setup = setup.background("stuck.php", &lines);
    }
    let server = setup.start();
    for way in WAYS {
        assert_eq!(life(&server, way), 1, "{way}");
    }
    server
}

fn life(server: &Server, way: &str) -> u64 {
    let vars = read(server, &format!("name={way}"));
    vars["value"]["life"]
        .as_u64()
        .unwrap_or_else(|| panic!("{way}: {vars}"))
}

/// Everybody lives for the second time, and readers have nothing of the first.
fn all_were_restarted(server: &Server) {
    for way in WAYS {
        eventually(way, || (life(server, way) == 2).then_some(()));
    }
    let text = server.folder().read("polite");
    assert_eq!(text, "left by itself\n", "the others were forced");
    nobody_was_lost(server);
}

fn nobody_was_lost(server: &Server) {
    assert_eq!(server.folder().read("strays"), "");
    let lost = server.log().all_with("written off");
    assert!(lost.is_empty(), "{lost:?}");
}

#[test]
fn when_the_server_stops() {
    let mut server = stuck("");
    server.signal(Signal::TERM);
    let status = server.wait();
    assert!(status.success(), "{status}\n{}", server.log());
    assert_eq!(server.folder().read("polite"), "left by itself\n");
    nobody_was_lost(&server);
}

#[test]
fn at_a_rolling_restart() {
    let server = stuck("");
    server.signal(Signal::HUP);
    all_were_restarted(&server);
}

#[test]
fn at_a_restart_of_all_workers_by_the_admin_endpoint() {
    let server = stuck("");
    server
        .admin(&Request::new("POST", "/frankenphp/workers/restart"))
        .expect(200);
    all_were_restarted(&server);
}

#[test]
fn at_a_restart_of_each_node() {
    let server = stuck("");
    for way in WAYS {
        steer(
            &server,
            &format!("site:default:background:{way}"),
            "restart",
        );
        assert_eq!(life(&server, way), 2, "{way}");
    }
    all_were_restarted(&server);
}

#[test]
fn when_a_watched_file_changes() {
    let folder = troupe_tests::Folder::new();
    folder.write("src/code.php", "<?php");
    let server = stuck(&format!(
        "watch = [\"{}/src/*.php\"]",
        folder.path().display()
    ));
    folder.write("src/code.php", "<?php // changed");
    all_were_restarted(&server);
}

#[test]
fn a_script_that_leaves_within_its_grace_is_not_forced() {
    let server = Setup::serving("background")
        .background("stuck.php", "name = \"polite\"\ngrace = \"1h\"")
        .start();
    assert_eq!(life(&server, "polite"), 1);
    steer(&server, "site:default:background:polite", "restart");
    assert_eq!(life(&server, "polite"), 2);
    let node = crate::node(&server, "site:default:background:polite:1");
    assert_eq!(node["last_exit"]["reason"], "stopped", "{node}");
}

#[test]
fn a_drained_worker_stays_down_until_it_is_restarted() {
    let server = stuck("");
    let id = "site:default:background:sleep";
    steer(&server, id, "drain");
    eventually("it is down", || {
        (crate::node(&server, id)["state"] == "stopped").then_some(())
    });
    let refused = read(&server, "name=sleep");
    assert_eq!(
        refused["error"],
        json!("RuntimeException: background worker is stopped: sleep")
    );
    steer(&server, id, "restart");
    assert_eq!(life(&server, "sleep"), 2);
}
