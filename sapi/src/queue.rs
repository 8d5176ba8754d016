//! A pool's queue: bounded, first in first out, taken from by PHP threads.
//!
//! An idle thread leaves its waker in a last-in-first-out list, so that the warmest thread is woken first. At
//! most one wake-up is in flight: the woken thread takes a job and wakes one more if jobs remain. Wake-ups
//! cost more than anything else in the hand-off, and a thread that is on its way will find everything that
//! was pushed meanwhile.
//!
//! Invariant: while jobs are queued and seats are idle, a wake-up is in flight. The token of the wake-up
//! belongs to the woken [`Seat`]; a seat that leaves (drain, kill, crash) passes it on.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::sync::{Mutex, lock};

/// Why a job was not queued. The job is handed back.
#[derive(Debug)]
pub enum PushError<T> {
    /// The queue holds as many jobs as it may.
    Full(T),
    /// The pool is stopping.
    Closed(T),
}

struct Inner<T> {
    jobs: VecDeque<T>,
    capacity: usize,
    /// Seats that wait, the latest last.
    idle: Vec<(u64, Waker)>,
    /// The seat a wake-up is on its way to.
    woken: Option<u64>,
    next_seat: u64,
    closed: bool,
}

impl<T> Inner<T> {
    /// Sends the one wake-up when it is due.
    fn wake_one(&mut self) -> Option<Waker> {
        if self.woken.is_some() || self.jobs.is_empty() {
            return None;
        }
        let (seat, waker) = self.idle.pop()?;
        self.woken = Some(seat);
        Some(waker)
    }

    fn forget(&mut self, seat: u64) {
        self.idle.retain(|(idle, _)| *idle != seat);
        if self.woken == Some(seat) {
            self.woken = None;
        }
    }
}

/// The queue; clones are handles to the same one.
pub struct JobQueue<T> {
    inner: Arc<Mutex<Inner<T>>>,
}

impl<T> Clone for JobQueue<T> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

impl<T> JobQueue<T> {
    /// A queue that holds at most `capacity` jobs that no thread has taken yet.
    pub fn new(capacity: usize) -> Self {
        let inner = Inner {
            jobs: VecDeque::new(),
            capacity,
            idle: Vec::new(),
            woken: None,
            next_seat: 0,
            closed: false,
        };
        Self { inner: Arc::new(Mutex::new(inner)) }
    }

    /// Queues a job. When the queue is full, jobs that `is_stale` are dropped first: their clients have left.
    pub fn push(&self, job: T, is_stale: impl Fn(&T) -> bool) -> Result<(), PushError<T>> {
        let mut stale = Vec::new();
        let waker = {
            let mut inner = lock(&self.inner);
            if inner.closed {
                return Err(PushError::Closed(job));
            }
            if inner.jobs.len() >= inner.capacity {
                let (gone, kept) = inner.jobs.drain(..).partition(|job| is_stale(job));
                inner.jobs = kept;
                stale = Vec::from(gone as VecDeque<T>);
                if inner.jobs.len() >= inner.capacity {
                    return Err(PushError::Full(job));
                }
            }
            inner.jobs.push_back(job);
            inner.wake_one()
        };
        drop(stale);
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }

    /// A place to take jobs from, for one thread.
    pub fn seat(&self) -> Seat<T> {
        let mut inner = lock(&self.inner);
        inner.next_seat += 1;
        Seat { id: inner.next_seat, queue: self.clone() }
    }

    /// Refuses further jobs. Queued ones are still taken; then every seat sees the end.
    pub fn close(&self) {
        let idle = {
            let mut inner = lock(&self.inner);
            inner.closed = true;
            std::mem::take(&mut inner.idle)
        };
        for (_, waker) in idle {
            waker.wake();
        }
    }

    /// Removes every job that is still queued, for a pool that has no thread left to take it.
    pub fn take_all(&self) -> Vec<T> {
        Vec::from(std::mem::take(&mut lock(&self.inner).jobs))
    }

    /// Jobs that wait.
    pub fn len(&self) -> usize {
        lock(&self.inner).jobs.len()
    }

    /// True when no job waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Seats that wait for a job.
    pub fn idle(&self) -> usize {
        lock(&self.inner).idle.len()
    }
}

/// One thread's place at the queue.
pub struct Seat<T> {
    id: u64,
    queue: JobQueue<T>,
}

impl<T> Seat<T> {
    /// The next job; `None` once the queue is closed and empty.
    pub fn poll_pop(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let (job, waker) = {
            let mut inner = lock(&self.queue.inner);
            inner.forget(self.id);
            match inner.jobs.pop_front() {
                Some(job) => (job, inner.wake_one()),
                None if inner.closed => return Poll::Ready(None),
                None => {
                    inner.idle.push((self.id, cx.waker().clone()));
                    return Poll::Pending;
                }
            }
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        Poll::Ready(Some(job))
    }

    /// Leaves the idle list until the next [`poll_pop`](Self::poll_pop), passing on a wake-up that was on its
    /// way here. For a thread that stops waiting without a job.
    pub fn rest(&mut self) {
        let waker = {
            let mut inner = lock(&self.queue.inner);
            inner.forget(self.id);
            inner.wake_one()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> Drop for Seat<T> {
    fn drop(&mut self) {
        self.rest();
    }
}
