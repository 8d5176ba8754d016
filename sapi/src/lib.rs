//! Troupe's PHP SAPI: PHP embedded in this process, on threads that a [`Driver`] drives.
//!
//! ```text
//!   I/O thread                                   PHP thread
//!   ──────────                                   ──────────
//!   Request ──► JobQueue ──► Driver::next_* ──►  script runs
//!   BodyWriter ────────────► BodyReader     ──►  php://input
//!   ResponseReader ◄──────── ResponseWriter ◄──  echo, header(), flush()
//! ```
//!
//! The C shim (`shim/`) owns every frame that PHP may jump over; Rust is called from it for plain work only.
//! This crate knows no actor and no HTTP: it is given drivers and ports. It is the only one with `unsafe`.

mod allocator;
mod background;
mod body;
mod callbacks;
mod control;
mod driver;
mod engine;
mod head;
#[cfg(all(test, loom))]
mod models;
mod queue;
mod request;
mod response;
mod server_vars;
mod sync;
mod thread;
mod var_name;
mod wait;
mod watchdog;

pub use allocator::Allocator;
pub use background::{
    BackgroundPort, Life, Line, OnWait, Place, Scope, ScopeError, Signal, Stopper, TaskClosed,
    TaskHold, TaskLook, TaskObserver, TaskOffer, TaskOutcome, TaskQueue, TaskSender, TaskWorker,
    UPDATES, Unavailable, Value, Vars, task,
};
pub use body::{BodyError, BodyReader, BodyWriter, body_port};
pub use control::{Activity, Lookout, Status, ThreadControl};
pub use driver::{
    Driver, Failure, RequestEnd, Run, ScriptEnd, ScriptExit, WorkerKind, WorkerScript,
};
pub use engine::{Engine, EngineConfig, EngineError, Versions, leave_process};
pub use head::Head;
pub use queue::{JobQueue, PushError, Seat};
pub use request::{Request, RequestBody};
pub use response::{
    ClientLeft, Outcome, Part, ResponseReader, ResponseWriter, Withdrawal, response_port,
};
pub use server_vars::{ServerVars, Text};
pub use thread::PhpThread;
pub use var_name::VarName;
pub use wait::{Heed, Interrupted, KillReason, Wait};
