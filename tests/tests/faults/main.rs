//! Bad input and faults: a correct status for that client, a log line that says what and where, and nothing
//! for anyone else.

#![allow(
    clippy::unwrap_used,
    reason = "in a test, what can't be done is a failure, and the panic says where"
)]

mod bodies;
mod clients;
mod limits;
mod requests;
mod scripts;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use troupe_tests::{Client, Request, Response, Server, Setup, eventually};

fn faults() -> Setup {
    // One thread for the fault, one for everybody else.
    Setup::serving("faults")
        .php("threads = 2")
        .ini("display_errors", "0")
}

/// Lets `fault` happen while somebody else asks for one page after another, and gets every one of them.
#[track_caller]
fn harms_nobody<T>(server: &Server, fault: impl FnOnce() -> T) -> T {
    struct Enough<'a>(&'a AtomicBool);
    impl Drop for Enough<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let hello = |client: &mut Client| {
        let response = client.request(&Request::get("/hello.php"));
        assert_eq!((response.status, response.text()), (200, "hello"));
    };
    let enough = AtomicBool::new(false);
    let outcome = thread::scope(|scope| {
        let other = scope.spawn(|| {
            let mut client = server.connect();
            loop {
                hello(&mut client);
                if enough.load(Ordering::Relaxed) {
                    return;
                }
            }
        });
        let guard = Enough(&enough);
        let outcome = fault();
        drop(guard);
        other.join().unwrap();
        outcome
    });
    // Each thread in turn, the one that had the fault among them.
    for _ in 0..4 {
        hello(&mut server.connect());
    }
    outcome
}

/// What the server answers to these bytes.
fn answer(server: &Server, bytes: impl AsRef<[u8]>) -> Response {
    let mut client = server.connect();
    client.write(bytes);
    client.response()
}

/// Waits until the script that reads an upload has noted that.
#[track_caller]
fn await_upload(server: &Server, note: &str) {
    eventually(note, || {
        let notes = server.folder().read("upload");
        notes.contains(note).then_some(())
    });
}
