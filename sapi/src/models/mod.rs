//! Model checks: loom runs each of these in every order that the memory model allows, and fails on a lost
//! wake-up as a deadlock. They check the code that ships; only `sync` is exchanged.
//!
//! `make models` runs them. A model has few threads and few steps, since the orders to try grow
//! exponentially with both.

mod bodies;
mod queueing;
mod responses;
mod snapshots;
mod tasks;
mod waiting;

use std::sync::Arc;
use std::task::{Context, Poll};

use loom::thread::{self, JoinHandle};

use crate::wait::{Heed, Parker, Wait};

/// Every order with at most three preemptions, in seconds; without a bound the larger models take hours.
fn check(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

/// Blocks until `poll` is ready, as a PHP thread between two jobs does.
fn wait<T>(poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> T {
    Wait::for_this_thread()
        .until(Heed::Kill, None, poll)
        .unwrap()
}

/// Runs `work` on a thread of its own and hands out what others reach of its waits.
fn spawn<T: 'static>(work: impl FnOnce(&Wait) -> T + 'static) -> (Arc<Parker>, JoinHandle<T>) {
    let (parker_of, parker) = loom::sync::mpsc::channel();
    let thread = thread::spawn(move || {
        let waiting = Wait::for_this_thread();
        parker_of.send(waiting.parker()).unwrap();
        work(&waiting)
    });
    (parker.recv().unwrap(), thread)
}
