//! What the actors need of PHP threads, as traits: the engine in production, plain threads in tests.

use std::sync::Arc;
use std::time::{Duration, Instant};

use troupe_sapi::{Driver, Engine, KillReason, Lookout, Status, ThreadControl};

/// Where PHP threads come from.
pub trait Spawn: Send + Sync + 'static {
    /// Starts a thread that `driver` drives; it is dropped on that thread when the thread ends.
    fn spawn(&self, name: &str, driver: Box<dyn Driver>) -> Result<Spawned, String>;
}

/// A thread that was started.
pub struct Spawned {
    /// A look at it and a hold of it.
    pub control: Arc<dyn Control>,
    /// Waits for its end. Called when the driver has been dropped, so the wait is short.
    pub join: Box<dyn FnOnce() + Send>,
}

/// A hold of a PHP thread.
pub trait Control: Send + Sync {
    /// A look at the thread now.
    fn status(&self) -> Status;
    /// Has `lookout` told when it needs a look.
    fn watch(&self, lookout: Lookout);
    /// Ends what it runs; false when it ran nothing.
    fn kill(&self, reason: KillReason) -> bool;
    /// The same, while it is still in that run.
    fn kill_run(&self, reason: KillReason, run: u64) -> bool;
    /// Asks the script to leave where it says by itself that it can: a background worker's stream.
    fn drain(&self);
    /// A background worker's script: gives it no more tasks unless it has one in hand; false when it has.
    fn retire(&self) -> bool;
    /// A background worker's script: since when it has had no task in hand.
    fn idle_since(&self) -> Option<Instant>;
    /// Takes a `drain` back, before the next run.
    fn resume(&self);
    /// Gives the thread up: whoever waits for what it holds is told.
    fn write_off(&self);
    /// The PHP stack of what it runs. Blocks for `timeout` at most.
    fn backtrace(&self, timeout: Duration) -> Option<String>;
}

impl Spawn for Engine {
    fn spawn(&self, name: &str, driver: Box<dyn Driver>) -> Result<Spawned, String> {
        let thread = self
            .spawn_thread(name, move || driver)
            .map_err(|error| error.to_string())?;
        Ok(Spawned {
            control: Arc::new(thread.control()),
            join: Box::new(move || thread.join()),
        })
    }
}

impl Control for ThreadControl {
    fn status(&self) -> Status {
        self.status()
    }

    fn watch(&self, lookout: Lookout) {
        self.watch(lookout);
    }

    fn kill(&self, reason: KillReason) -> bool {
        self.kill(reason, None)
    }

    fn kill_run(&self, reason: KillReason, run: u64) -> bool {
        self.kill(reason, Some(run))
    }

    fn drain(&self) {
        self.drain();
    }

    fn retire(&self) -> bool {
        self.retire()
    }

    fn idle_since(&self) -> Option<Instant> {
        self.idle_since()
    }

    fn resume(&self) {
        self.resume();
    }

    fn write_off(&self) {
        self.write_off();
    }

    fn backtrace(&self, timeout: Duration) -> Option<String> {
        self.backtrace(timeout)
    }
}
