//! The ports of background workers: what they publish, the tasks they are sent, how they are signalled.
//!
//! A [`BackgroundPort`] is one worker's: its scripts' threads on one side, the scripts of its site on the other.
//! `actors` makes it and decides when the worker is unavailable; data passes here, between two PHP threads.

mod bell;
pub(crate) mod calls;
pub(crate) mod leash;
pub(crate) mod low_fd;
mod pins;
mod task;
mod task_queue;
mod value;
mod vars;

use std::sync::{Arc, Weak};

pub use task::{
    TaskClosed, TaskHold, TaskLook, TaskObserver, TaskOffer, TaskOutcome, TaskSender, TaskWorker,
    UPDATES, task,
};
pub use task_queue::{Line, OnWait, Place, Signal, Stopper, TaskQueue};
pub use value::Value;
pub use vars::{Life, Unavailable, Vars};

/// One background worker, as the scripts of its site see it.
pub struct BackgroundPort {
    /// Its name.
    pub name: String,
    /// How many threads serve its tasks at most.
    pub threads: usize,
    /// What it publishes.
    pub vars: Vars<Value>,
    /// The tasks it is sent.
    pub tasks: TaskQueue<Value>,
}

impl BackgroundPort {
    /// A port for a worker of at most `threads` threads, in whose queue `capacity` tasks may wait.
    pub fn new(name: &str, threads: usize, capacity: usize) -> Self {
        Self {
            name: name.to_owned(),
            threads,
            vars: Vars::default(),
            tasks: TaskQueue::new(capacity),
        }
    }

    /// Readers and senders wait for the worker from now on.
    pub fn set_available(&self) {
        self.vars.set_available();
        self.tasks.set_available();
    }

    /// Readers without a snapshot, and senders, are told why, those that wait included.
    pub fn set_unavailable(&self, why: &Unavailable) {
        self.vars.set_unavailable(why.clone());
        self.tasks.set_unavailable(why);
    }
}

/// Why a worker is not to be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// The site declares none.
    #[error("no background worker configured")]
    NoneConfigured,
    /// The name is not declared and there is no catch-all.
    #[error("background worker not found: {0}")]
    NotFound(String),
    /// The catch-all has started as many as it may.
    #[error("limit of {limit} background worker names reached, cannot start: {name}")]
    TooManyNames {
        /// The name that was asked for.
        name: String,
        /// `max_names`.
        limit: usize,
    },
    /// The server or the site stops.
    #[error("the server is shutting down")]
    Stopping,
}

/// The background workers that one site's scripts may use.
pub trait Scope: Send + Sync {
    /// The worker of that name; started if it is not running. Does not wait for it.
    fn worker(&self, name: &str) -> Result<Arc<BackgroundPort>, ScopeError>;

    /// Who is told of a task that is about to be sent: its actor, which gets a hold of the task.
    fn observe(
        &self,
        worker: &str,
        sender: &str,
        task: Weak<dyn TaskHold>,
    ) -> Arc<dyn TaskObserver>;
}
