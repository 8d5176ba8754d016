//! What is told about one node: the shape of `GET /tree` and `GET /nodes/{id}`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Serialize, Serializer};

use super::id::NodeId;
use crate::supervision::{Detail, Window};

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The top supervisor.
    Root,
    /// The supervisor of a site's pools.
    Site,
    /// The threads that run scripts which are nobody's worker.
    ClassicPool,
    /// The workers of one HTTP worker script.
    HttpPool,
    /// The workers of one background script.
    BackgroundPool,
    /// A thread of the classic pool.
    ClassicWorker,
    /// A thread that runs an HTTP worker script.
    HttpWorker,
    /// A thread that runs a background script.
    BackgroundWorker,
    /// The supervisor of a site's tasks.
    Tasks,
    /// Work handed to a background worker.
    Task,
}

impl Kind {
    /// As in JSON, with spaces.
    pub fn label(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Site => "site",
            Self::ClassicPool => "classic pool",
            Self::HttpPool => "http pool",
            Self::BackgroundPool => "background pool",
            Self::ClassicWorker | Self::HttpWorker | Self::BackgroundWorker => "worker",
            Self::Tasks => "tasks",
            Self::Task => "task",
        }
    }
}

/// Where a node is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// On its way to be ready.
    Starting,
    /// Does its work.
    Ready,
    /// Finishes what it is doing, takes nothing new.
    Draining,
    /// Failed, and waits for its next start.
    Waiting,
    /// Ended, and does not come back by itself.
    Stopped,
    /// A task that waits for a thread.
    Queued,
    /// A task that a thread has in hand.
    Running,
}

impl State {
    /// As in JSON, with spaces.
    pub fn label(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Draining => "draining",
            Self::Waiting => "waiting",
            Self::Stopped => "stopped",
            Self::Queued => "queued",
            Self::Running => "running",
        }
    }
}

/// How a node ended last.
#[derive(Debug, Clone, Serialize)]
pub struct LastExit {
    /// Reason, message, file and line.
    #[serde(flatten)]
    pub detail: Detail,
    /// When.
    #[serde(serialize_with = "unix_ms", rename = "at_ms")]
    pub at: SystemTime,
}

/// The request or task a worker is busy with.
#[derive(Debug, Clone, Serialize)]
pub struct Current {
    /// The request's or task's number.
    pub id: u64,
    /// `GET /path`, or the task's sender.
    pub what: String,
    /// For how long.
    #[serde(serialize_with = "millis", rename = "for_ms")]
    pub age: Duration,
}

/// What waits at a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Queue {
    /// Requests or tasks that no worker has taken yet.
    pub depth: usize,
    /// So many may wait.
    pub capacity: usize,
}

/// What a task is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Errand {
    /// The URI of the request, or the name of the worker, that sent it.
    pub sender: String,
    /// The thread that has it in hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker: Option<NodeId>,
    /// Since it was sent.
    #[serde(serialize_with = "millis", rename = "age_ms")]
    pub age: Duration,
    /// Updates that the worker has sent.
    pub updates_sent: u64,
    /// Updates that the sender has read.
    pub updates_read: u64,
}

/// The part of a node that changes with every request: read from where it is kept when somebody asks.
#[derive(Debug, Clone, Default)]
pub struct Live {
    /// What the worker is busy with.
    pub current: Option<Current>,
    /// Requests or tasks served since the server started.
    pub served: Option<u64>,
    /// Bytes of PHP memory after the last request.
    pub memory: Option<u64>,
    /// What waits.
    pub queue: Option<Queue>,
    /// Tasks that a background worker's threads have in hand.
    pub running: Option<u64>,
    /// What a task is about.
    pub errand: Option<Errand>,
}

/// The part of a node that its owner tells the tree when it changes.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Where it is in its life.
    pub state: State,
    /// Since when. Set by the tree when `state` changes.
    pub since: (Instant, SystemTime),
    /// Its start, counted from 1.
    pub generation: u64,
    /// Its exits by reason.
    pub exits: BTreeMap<&'static str, u64>,
    /// For a supervisor: its children's failures.
    pub failures: Option<Window>,
    /// When it starts again.
    pub next_start: Option<Instant>,
    /// How it ended last.
    pub last_exit: Option<LastExit>,
}

impl Facts {
    pub(super) fn new(state: State) -> Self {
        Self {
            state,
            since: (Instant::now(), SystemTime::now()),
            generation: 0,
            exits: BTreeMap::new(),
            failures: None,
            next_start: None,
            last_exit: None,
        }
    }

    /// Takes note of an exit.
    pub fn exited(&mut self, detail: Detail) {
        *self.exits.entry(detail.reason).or_default() += 1;
        self.last_exit = Some(LastExit {
            detail,
            at: SystemTime::now(),
        });
    }
}

/// A supervisor's failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Failures {
    /// Failed boots within the window.
    pub in_window: u32,
    /// One more than this, and it escalates.
    pub limit: u32,
    /// The length of the window.
    pub window_s: u64,
}

/// A node as it is told.
#[derive(Debug, Clone, Serialize)]
pub struct Node {
    /// Its address; may be used as a URL path segment as it is.
    pub id: NodeId,
    /// What it is.
    pub kind: Kind,
    /// What people call it.
    pub name: String,
    /// Its supervisor.
    pub parent: Option<NodeId>,
    /// Where it is in its life.
    pub state: State,
    /// Since when, in milliseconds since 1970.
    #[serde(serialize_with = "unix_ms", rename = "since_ms")]
    pub since: SystemTime,
    /// For how long.
    #[serde(serialize_with = "millis", rename = "for_ms")]
    pub age: Duration,
    /// Its start, counted from 1.
    pub generation: u64,
    /// Its exits by reason.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub exits: BTreeMap<&'static str, u64>,
    /// For a supervisor that may escalate: its children's failures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failures: Option<Failures>,
    /// How long until it starts again.
    #[serde(
        skip_serializing_if = "Option::is_none",
        serialize_with = "maybe_millis",
        rename = "next_start_in_ms"
    )]
    pub next_start_in: Option<Duration>,
    /// How it ended last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_exit: Option<LastExit>,
    /// What it is busy with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current: Option<Current>,
    /// Requests or tasks served.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub served: Option<u64>,
    /// Bytes of PHP memory after the last request.
    #[serde(skip_serializing_if = "Option::is_none", rename = "memory_bytes")]
    pub memory: Option<u64>,
    /// What waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<Queue>,
    /// Tasks that a background worker's threads have in hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub running: Option<u64>,
    /// What a task is about.
    #[serde(skip_serializing_if = "Option::is_none", rename = "task")]
    pub errand: Option<Errand>,
    /// Its children in the order they were added. Empty in a change.
    pub children: Vec<Node>,
}

impl Node {
    /// This node and all below it, depth first.
    pub fn walk(&self) -> impl Iterator<Item = &Node> {
        let mut stack = vec![self];
        std::iter::from_fn(move || {
            let node = stack.pop()?;
            stack.extend(node.children.iter().rev());
            Some(node)
        })
    }
}

fn unix_ms<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    // A clock before 1970 is told as 1970.
    millis(
        &time.duration_since(UNIX_EPOCH).unwrap_or_default(),
        serializer,
    )
}

fn millis<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

fn maybe_millis<S: Serializer>(
    duration: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    millis(&duration.unwrap_or_default(), serializer)
}
