//! The signaling stream, by every way to read one.

use serde_json::{Value, json};
use troupe_tests::{Server, Setup, eventually};

use crate::{read, steer};

/// Each name is a worker of `loops.php`.
fn loops() -> Server {
    Setup::serving("background")
        .background("loops.php", "grace = \"1h\"")
        .start()
}

/// What a worker has written to a file of the test's folder, a JSON value each line.
fn noted(server: &Server, file: &str) -> Vec<Value> {
    let text = server.folder().read(file);
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Sends a task and waits for its end.
fn task(server: &Server, name: &str) {
    let page = format!("/page.php?do=task&name={name}");
    assert_eq!(
        server.get(&page).expect(200).json(),
        json!({"updates": [], "error": null})
    );
}

/// Starts a worker, signals tasks and then the stop; its grace would be an hour.
fn hears(server: &Server, name: &str) -> Value {
    let vars = read(server, &format!("name={name}"))["value"].clone();
    for _ in 0..3 {
        task(server, name);
    }
    steer(
        server,
        &format!("site:default:background:{name}"),
        "restart",
    );
    assert_eq!(
        server.folder().read(&format!("left-{name}")),
        "\n",
        "it left by itself"
    );
    vars
}

#[test]
fn it_is_read_by_lines_by_select_and_without_waiting() {
    let server = loops();
    for name in [
        "fgets",
        "get_line",
        "select",
        "non_blocking",
        "timeout",
        "event_loop",
        "two",
    ] {
        let vars = hears(&server, name);
        let heard = noted(&server, &format!("heard-{name}"));
        let (last, tasks) = heard.split_last().unwrap();
        assert_eq!(last, "stop\n", "{name}");
        // A task that came while the last one was worked on may have been taken along with it.
        assert!(
            (1..=3).contains(&tasks.len()) && tasks.iter().all(|line| line == "task\n"),
            "{name}: {heard:?}"
        );
        assert_eq!(
            vars["meta"],
            json!({"timed_out": false, "blocked": true, "eof": false, "mode": "r"}),
            "{name}"
        );
        assert_eq!(vars["type"], "stream");
    }
    assert_eq!(noted(&server, "first")[0], json!([false, false, false]));
    assert_eq!(noted(&server, "timed_out")[0], json!([false, true, false]));
    let others = server.folder().read("other");
    assert!(
        others.starts_with("ping"),
        "the loop serves its other streams too: {others}"
    );
}

#[test]
fn after_stop_it_ends() {
    let server = loops();
    hears(&server, "end");
    let heard = noted(&server, "heard-end");
    assert_eq!(heard[heard.len() - 2..], [json!("stop\n"), json!(false)]);
    assert_eq!(noted(&server, "end"), [json!(true)]);
}

#[test]
fn the_stream_of_the_handle_only_ends() {
    let server = loops();
    read(&server, "name=handle");
    steer(&server, "site:default:background:handle", "restart");
    assert_eq!(noted(&server, "heard-handle"), [json!([false, true])]);
}

#[test]
fn it_is_cleaned_up_with_its_script_however_that_ends() {
    let server = loops();
    let name = "name=crash";
    let first = read(&server, name)["value"]["descriptors"]
        .as_u64()
        .unwrap();
    for death in 1..=3 {
        let page = format!("/page.php?do=task&{name}");
        assert!(server.get(&page).expect(200).json()["error"].is_string());
        let id = "site:default:background:crash";
        eventually("it was started again", || {
            let exits = crate::node(&server, id)["exits"]["fatal_error"].as_u64();
            (exits == Some(death)).then_some(())
        });
    }
    steer(&server, "site:default:background:crash", "restart");
    let last = read(&server, name)["value"]["descriptors"]
        .as_u64()
        .unwrap();
    // A connection of the test's own may come or go.
    assert!(last <= first + 2, "{first} descriptors, then {last}");
}
