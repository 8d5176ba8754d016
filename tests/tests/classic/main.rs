//! Classic mode: what a PHP script sees and says through the server, one clean state a request.

#![allow(
    clippy::unwrap_used,
    reason = "in a test, what can't be done is a failure, and the panic says where"
)]

mod errors;
mod functions;
mod headers;
mod input;
mod large;
mod output;
mod settings;
mod state;

use troupe_tests::{Server, Setup};

fn classic() -> Setup {
    Setup::serving("classic")
}

fn serve() -> Server {
    classic().start()
}
