//! What the end-to-end tests share: a running server, a client that speaks plain HTTP/1.1.
//!
//! A test says what it wants served ([`Setup`]), starts it ([`Server`]), and talks to it ([`Client`]).
//! Every test has a server of its own, which takes a few milliseconds, and every server is stopped as an
//! operator would stop it: a test also fails when its server does not come to a clean end.
//!
//! Nothing here sleeps for a while and hopes: [`eventually`] waits for a condition, and gives up only
//! after a time that no machine needs.

#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "in a test, what can't be done is a failure, and the panic says where"
)]

mod chromium;
mod client;
mod command;
mod folder;
mod http2;
mod load;
mod log;
mod mariadb;
pub mod package;
mod request;
mod response;
mod server;
mod setup;
mod tree;

pub use chromium::Chromium;
pub use client::{Address, Client};
pub use command::{binary, curl, self_signed, troupe};
pub use folder::Folder;
pub use http2::Http2;
pub use log::{Log, Record};
pub use mariadb::MariaDb;
pub use request::{Part, Request};
pub use response::Response;
pub use server::Server;
pub use setup::Setup;
pub use tree::{Node, exits, nodes};

use std::time::{Duration, Instant};

/// Far more than anything takes, even on a machine that is busy with other things.
pub const LIMIT: Duration = Duration::from_secs(30);

/// Waits until `condition` gives something, and panics with `what` was waited for when it never does.
#[track_caller]
pub fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(begun.elapsed() < LIMIT, "never happened: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Where `wanted` begins in `bytes`.
pub fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}
