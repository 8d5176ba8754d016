//! Background workers from outside: what they publish, how they are told to stop, how they come back.

#![allow(
    clippy::unwrap_used,
    reason = "in a test, what can't be done is a failure, and the panic says where"
)]

mod descriptors;
mod example;
mod forks;
mod lives;
mod memory;
mod pools;
mod signals;
mod stops;
mod stress;
mod values;

use serde_json::Value;
use troupe_tests::{Request, Server};

/// What `read.php` answers, as a page of its own.
#[track_caller]
fn read(server: &Server, query: &str) -> Value {
    server.get(&format!("/read.php?{query}")).expect(200).json()
}

/// A node of the tree.
#[track_caller]
fn node(server: &Server, id: &str) -> Value {
    server
        .admin(&Request::get(&format!("/nodes/{id}")))
        .expect(200)
        .json()
}

/// Asks something of a node, and waits until it is done.
#[track_caller]
fn steer(server: &Server, id: &str, action: &str) {
    let request = Request::new("POST", &format!("/nodes/{id}/{action}"));
    server.admin(&request).expect(200);
}
