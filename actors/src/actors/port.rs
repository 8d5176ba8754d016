//! A pool's front door: where requests are handed over. It outlives the pool's actor, so whoever holds it needs
//! not know that the pool was restarted, and the hot path meets no mailbox.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use actix::{Message, Recipient};
use troupe_sapi::{JobQueue, PushError, Request, Seat};

use super::stats::Stats;

/// Tells the pool that requests, or tasks, wait.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Pressed;

/// Why a pool takes no requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outage {
    /// For people.
    pub reason: String,
    /// By when the pool will have been tried again; for `Retry-After`.
    pub retry_after: Duration,
}

/// Why a request was not taken. It is handed back.
pub enum Refused {
    /// As many requests wait as may.
    Full(Box<Request>),
    /// The pool is down.
    Down(Box<Request>, Outage),
}

/// The front door; clones are handles to the same one.
#[derive(Clone)]
pub struct PoolPort(Arc<Shared>);

struct Shared {
    queue: JobQueue<Box<Request>>,
    capacity: usize,
    scales: bool,
    /// Kept beside `outage` so that a request costs no second lock.
    open: AtomicBool,
    outage: Mutex<Option<Outage>>,
    /// A `Pressed` is on its way: one is enough.
    pressed: AtomicBool,
    pool: Mutex<Option<Recipient<Pressed>>>,
    stats: Stats,
}

impl PoolPort {
    /// A door before which `capacity` requests may wait. A pool that `scales` is told when some do.
    pub fn new(capacity: usize, scales: bool) -> Self {
        Self(Arc::new(Shared {
            queue: JobQueue::new(capacity),
            capacity,
            scales,
            open: AtomicBool::new(true),
            outage: Mutex::new(None),
            pressed: AtomicBool::new(false),
            pool: Mutex::new(None),
            stats: Stats::default(),
        }))
    }

    /// Hands a request over; never waits. The answer, or the news that there will be none, comes through the
    /// request's own response port.
    pub fn submit(&self, request: Box<Request>) -> Result<(), Refused> {
        if !self.is_open()
            && let Some(outage) = self.outage()
        {
            return Err(Refused::Down(request, outage));
        }
        self.0
            .queue
            .push(request, |waiting| waiting.response.is_abandoned())
            .map_err(|error| match error {
                PushError::Full(request) => Refused::Full(request),
                PushError::Closed(request) => Refused::Down(request, stopping()),
            })?;
        if self.0.scales && !self.0.pressed.load(Ordering::Relaxed) && self.0.queue.idle() == 0 {
            self.press();
        }
        Ok(())
    }

    fn press(&self) {
        if self.0.pressed.swap(true, Ordering::SeqCst) {
            return;
        }
        match &*lock(&self.0.pool) {
            Some(pool) => pool.do_send(Pressed),
            // Between two lives of the pool: the next one looks by itself.
            None => self.0.pressed.store(false, Ordering::SeqCst),
        }
    }

    /// Requests that wait.
    pub fn waiting(&self) -> usize {
        self.0.queue.len()
    }

    /// So many may wait.
    pub fn capacity(&self) -> usize {
        self.0.capacity
    }

    /// True while requests are taken.
    pub fn is_open(&self) -> bool {
        self.0.open.load(Ordering::SeqCst)
    }

    /// Why none are, if so.
    pub fn outage(&self) -> Option<Outage> {
        lock(&self.0.outage).clone()
    }

    /// Waiting and service times.
    pub fn stats(&self) -> &Stats {
        &self.0.stats
    }

    pub(crate) fn seat(&self) -> Seat<Box<Request>> {
        self.0.queue.seat()
    }

    /// A pool's actor has taken its place behind the door.
    pub(crate) fn attach(&self, pool: Recipient<Pressed>) {
        *lock(&self.0.pool) = Some(pool);
    }

    /// The pool has looked: the next request that finds nobody idle tells it again.
    pub(crate) fn relieve(&self) {
        self.0.pressed.store(false, Ordering::SeqCst);
    }

    pub(crate) fn open(&self) {
        *lock(&self.0.outage) = None;
        self.0.open.store(true, Ordering::SeqCst);
    }

    /// Takes no more requests. Those that wait are still served by threads that finish the queue.
    pub(crate) fn shut(&self, outage: Outage) {
        *lock(&self.0.outage) = Some(outage);
        self.0.open.store(false, Ordering::SeqCst);
    }

    /// Takes back what waits, for a pool that has nobody left to serve it.
    pub(crate) fn take_back(&self) -> impl Iterator<Item = Box<Request>> {
        self.0.queue.take_all().into_iter()
    }

    /// No pool will ever stand behind the door again.
    pub(crate) fn close(&self) {
        self.shut(stopping());
        *lock(&self.0.pool) = None;
        self.0.queue.close();
    }
}

fn stopping() -> Outage {
    Outage {
        reason: "the server is stopping".into(),
        retry_after: Duration::from_secs(1),
    }
}

/// A panic while one of these locks is held leaves plain data behind.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}
