//! What a PHP thread is driven by: the trait that `actors` implements, and the words both sides use.

use std::ffi::CString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::background::{BackgroundPort, Life, Scope};
use crate::request::Request;
use crate::server_vars::ServerVars;
use crate::wait::{KillReason, Wait};

/// Which kind of long-running script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkerKind {
    /// Waits for requests with `frankenphp_handle_request()`.
    Http,
    /// Runs beside them.
    Background,
}

/// A long-running script.
pub struct WorkerScript {
    /// Its kind.
    pub kind: WorkerKind,
    /// What `$_SERVER['FRANKENPHP_WORKER_NAME']` says.
    pub name: CString,
    /// Absolute path.
    pub script: CString,
    /// What `$_SERVER` holds beside the worker's own entries.
    pub vars: ServerVars,
    /// The background workers it may use.
    pub scope: Option<Arc<dyn Scope>>,
    /// Its own port, for a background worker, and which life of the worker this run is.
    pub background: Option<(Arc<BackgroundPort>, Life)>,
}

/// What a thread does next.
pub enum Run {
    /// Classic mode: one script for one request, from a clean state.
    Request(Box<Request>),
    /// A worker script, until it returns.
    Script(WorkerScript),
}

/// How a script came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScriptExit {
    /// It returned, or ran to its last line.
    Returned,
    /// It called `exit`.
    Exited {
        /// The exit status, 0 for `exit` with a text.
        status: i32,
    },
    /// A fatal error or an uncaught exception.
    Failed(Failure),
    /// It was ended from outside.
    Killed(KillReason),
    /// PHP could not set the request up, or the client left before its body was complete.
    NotBegun,
}

/// What PHP said of a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// PHP's message.
    pub message: String,
    /// The script file.
    pub file: PathBuf,
    /// The line in it.
    pub line: u32,
}

/// The end of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptEnd {
    /// How.
    pub exit: ScriptExit,
    /// Whether a worker script had become ready before.
    pub was_ready: bool,
    /// From the start of the run.
    pub uptime: Duration,
}

/// The end of one request in worker mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestEnd {
    /// From the moment the thread took it.
    pub took: Duration,
    /// Bytes that PHP's memory manager has in use; 0 when the request ended its script.
    pub memory: usize,
}

/// Drives one PHP thread, on that thread. Blocks only through the [`Wait`] it is given, so that a kill or a
/// drain always reaches it. Dropped on the thread when the thread ends.
pub trait Driver: Send {
    /// The next run; `None` ends the thread.
    fn next_run(&mut self, wait: &Wait) -> Option<Run>;

    /// The next request for the worker script that runs; `None` asks it to leave its loop.
    fn next_request(&mut self, wait: &Wait) -> Option<Box<Request>>;

    /// The request that was just given can't be served here, for the script is being ended: another thread
    /// shall have it.
    fn put_back(&mut self, request: Box<Request>);

    /// The request that was just given begins, unless its client has left, after it has waited for so long.
    fn request_begins(&mut self, _waited: Duration) {}

    /// The script became ready: it waits for its first request, or used a background worker's function.
    fn script_ready(&mut self);

    /// A request of a worker script ended and its client has its answer. The end of the run follows when the
    /// request ended the script.
    fn request_ended(&mut self, end: RequestEnd);

    /// The script called `opcache_reset()`: every file will be compiled anew when it is next included. What
    /// worker scripts hold is older; whoever owns them starts them again, one after another.
    fn opcache_was_reset(&mut self) {}

    /// The run ended.
    fn run_ended(&mut self, end: ScriptEnd);
}
