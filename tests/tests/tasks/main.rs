//! Tasks: work that requests hand to background workers, seen from both ends and from the supervision tree.

#![allow(
    clippy::unwrap_used,
    reason = "in a test, what can't be done is a failure, and the panic says where"
)]

mod departures;
mod ends;
mod operators;
mod stops;
mod streams;

use std::thread;

use serde_json::Value;
use troupe_tests::{Client, Request, Server, Setup, eventually};

const DIED: &str = "background worker exited without completing the task";

fn setup(lines: &str) -> Setup {
    let lines = format!("name = \"worker\"\nnum = 1\n{lines}");
    Setup::serving("tasks").background("worker.php", &lines)
}

fn serving(lines: &str) -> Server {
    setup(lines).start()
}

fn play(server: &Server, query: &str) -> Value {
    server.get(&format!("/page.php?{query}")).expect(200).json()
}

/// The query that sends one task, and the same for two.
fn task(payload: Value) -> String {
    format!("do=task&payload={}", encoded(&payload))
}

fn two(first: Value, second: Value) -> String {
    format!(
        "do=two&first={}&second={}",
        encoded(&first),
        encoded(&second)
    )
}

fn encoded(value: &Value) -> String {
    let text = value.to_string();
    text.replace('{', "%7B")
        .replace('}', "%7D")
        .replace('"', "%22")
        .replace(' ', "+")
}

/// A request that goes on while the test does something else.
fn meanwhile(server: &Server, query: String) -> thread::JoinHandle<Value> {
    let address = server.address().clone();
    thread::spawn(move || {
        let request = Request::get(&format!("/page.php?{query}"));
        Client::connect(&address)
            .request(&request)
            .expect(200)
            .json()
    })
}

fn await_note(server: &Server, name: &str) -> String {
    eventually(name, || {
        let text = server.folder().read(name);
        text.ends_with('\n').then_some(text)
    })
}

fn children(node: &Value) -> impl Iterator<Item = &Value> {
    node["children"].as_array().into_iter().flatten()
}

/// The tasks in the tree.
fn tasks(server: &Server) -> Vec<Value> {
    let tree = server.tree();
    let below = children(&tree)
        .flat_map(children)
        .filter(|node| node["kind"] == "tasks");
    below.flat_map(children).cloned().collect()
}

/// The worker's pool in the tree.
fn pool(server: &Server) -> Value {
    let tree = server.tree();
    let mut pools = children(&tree).flat_map(children);
    pools
        .find(|node| node["kind"] == "background_pool")
        .unwrap()
        .clone()
}

fn ends(server: &Server, outcome: &str) -> f64 {
    let site = server.tree()["children"][0]["name"]
        .as_str()
        .unwrap()
        .to_owned();
    server.metric(&format!(
        "troupe_tasks_ended_total{{site=\"{site}\",pool=\"worker\",outcome=\"{outcome}\"}}"
    ))
}

/// Waits until so many tasks have ended so: their senders may know it a moment earlier.
#[track_caller]
fn await_ends(server: &Server, outcome: &str, count: f64) {
    eventually(outcome, || (ends(server, outcome) == count).then_some(()));
}
