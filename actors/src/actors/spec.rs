//! What the server is to consist of.

use std::ffi::CString;
use std::time::Duration;

use troupe_sapi::{ServerVars, WorkerKind, WorkerScript};

use crate::supervision::{ChildSpec, Policy, RecyclePolicy, ScalingPolicy};

/// The whole server.
#[derive(Debug, Clone)]
pub struct ServerSpec {
    /// The threads that run scripts which are nobody's worker.
    pub classic: PoolSpec,
    /// The sites.
    pub sites: Vec<SiteSpec>,
}

/// One site.
#[derive(Debug, Clone)]
pub struct SiteSpec {
    /// Unique among the sites.
    pub name: String,
    /// Its HTTP workers; names are unique among them.
    pub http: Vec<PoolSpec>,
    /// Its background workers; names are unique among them, and one at most has none.
    pub background: Vec<BackgroundSpec>,
}

/// A background worker, or the rule for those that are not declared by name.
#[derive(Debug, Clone)]
pub struct BackgroundSpec {
    /// `None`: the catch-all.
    pub name: Option<String>,
    /// Absolute path of the script.
    pub path: CString,
    /// What `$_SERVER` holds beside the worker's own entries.
    pub env: Vec<(String, String)>,
    /// How many threads share the worker's tasks.
    pub scaling: ScalingPolicy,
    /// Started with the server, and not by its first use.
    pub at_boot: bool,
    /// Tasks that may wait for a thread.
    pub max_queue: usize,
    /// Names that the catch-all may start.
    pub max_names: usize,
    /// So long may a thread have a task in hand; `None` is unlimited.
    pub task_deadline: Option<Duration>,
    /// How each thread is started, stopped and restarted.
    pub worker: ChildSpec,
    /// When the pool gives up.
    pub policy: Policy,
}

impl BackgroundSpec {
    /// The pool of one name.
    pub(crate) fn pool(&self, name: &str) -> PoolSpec {
        let script = Script {
            // Names come from PHP strings and may hold a NUL there; no such worker is ever declared.
            name: CString::new(name).unwrap_or_default(),
            path: self.path.clone(),
            env: self.env.clone(),
        };
        PoolSpec {
            worker: self.worker.clone(),
            policy: self.policy,
            scaling: self.scaling,
            ..PoolSpec::new(name, Work::Background(script), self.scaling.threads)
        }
    }
}

/// A pool of PHP threads that do the same.
#[derive(Debug, Clone)]
pub struct PoolSpec {
    /// What people call it.
    pub name: String,
    /// What its threads do.
    pub work: Work,
    /// How many threads.
    pub scaling: ScalingPolicy,
    /// Requests that may wait for a thread.
    pub queue_capacity: usize,
    /// How each worker is started, stopped and restarted. Its stage is of no account: a pool's workers start
    /// together.
    pub worker: ChildSpec,
    /// When the pool gives up.
    pub policy: Policy,
    /// When a healthy worker is replaced.
    pub recycle: RecyclePolicy,
    /// A script that was killed and is still there after this long takes its thread with it: the thread is
    /// written off and replaced.
    pub write_off_after: Duration,
    /// A request that takes longer is logged with its PHP stack while it runs; `None` logs none.
    pub slow_after: Option<Duration>,
}

/// What a pool's threads do.
#[derive(Debug, Clone)]
pub enum Work {
    /// One script for each request, from a clean state.
    Classic,
    /// A script that serves request after request.
    Http(Script),
    /// A script beside the requests.
    Background(Script),
}

/// A worker script.
#[derive(Debug, Clone)]
pub struct Script {
    /// What `$_SERVER['FRANKENPHP_WORKER_NAME']` says.
    pub name: CString,
    /// Absolute path.
    pub path: CString,
    /// What `$_SERVER` holds while the script boots.
    pub env: Vec<(String, String)>,
}

impl PoolSpec {
    /// A pool of `threads` threads with the documented defaults.
    pub fn new(name: &str, work: Work, threads: u32) -> Self {
        Self {
            name: name.to_owned(),
            work,
            scaling: ScalingPolicy::between(threads, threads),
            queue_capacity: 1024,
            // A restart waits this long for the request in hand before it is interrupted.
            worker: ChildSpec {
                grace: Duration::from_secs(30),
                ..ChildSpec::default()
            },
            policy: Policy::pool(),
            recycle: RecyclePolicy::default(),
            write_off_after: Duration::from_secs(2),
            slow_after: None,
        }
    }
}

impl Script {
    /// One run of the script.
    pub(crate) fn run(&self, kind: WorkerKind) -> WorkerScript {
        let mut vars = ServerVars::new();
        for (name, value) in &self.env {
            vars.push_environment(name, value);
        }
        WorkerScript {
            kind,
            name: self.name.clone(),
            script: self.path.clone(),
            vars,
            scope: None,
            background: None,
        }
    }
}
