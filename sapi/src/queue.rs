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

use crate::sync::{Mutex, lock, unlock_and_wake};

/// Jobs that a push looks at when the queue is full. A refusal must stay cheap: there are many of them when
/// the server can least afford it.
const LOOKS: usize = 32;

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
    /// The job to look at next when room is needed.
    suspect: usize,
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

    /// Takes one stale job out, if it is among the next ones to look at.
    fn remove_stale(&mut self, is_stale: impl Fn(&T) -> bool) -> Option<T> {
        for _ in 0..LOOKS.min(self.jobs.len()) {
            self.suspect %= self.jobs.len();
            if is_stale(&self.jobs[self.suspect]) {
                return self.jobs.remove(self.suspect);
            }
            self.suspect += 1;
        }
        None
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
        Self {
            inner: self.inner.clone(),
        }
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
            suspect: 0,
            closed: false,
        };
        Self {
            inner: Arc::new(Mutex::new(inner)),
        }
    }

    /// Queues a job. In a full queue it takes the place of one that `is_stale`, whose client has left, if one
    /// is found: each push looks at a few, the next push at the next ones.
    pub fn push(&self, job: T, is_stale: impl Fn(&T) -> bool) -> Result<(), PushError<T>> {
        // Declared before the lock, so that what the stale job owns is dropped after it.
        let _stale;
        let mut inner = lock(&self.inner);
        if inner.closed {
            return Err(PushError::Closed(job));
        }
        if inner.jobs.len() >= inner.capacity {
            _stale = inner.remove_stale(is_stale);
            if _stale.is_none() {
                return Err(PushError::Full(job));
            }
        }
        inner.jobs.push_back(job);
        let waker = inner.wake_one();
        unlock_and_wake(inner, waker);
        Ok(())
    }

    /// A place to take jobs from, for one thread.
    pub fn seat(&self) -> Seat<T> {
        let mut inner = lock(&self.inner);
        inner.next_seat += 1;
        Seat {
            id: inner.next_seat,
            queue: self.clone(),
        }
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
        let mut inner = lock(&self.queue.inner);
        inner.forget(self.id);
        match inner.jobs.pop_front() {
            Some(job) => {
                let waker = inner.wake_one();
                unlock_and_wake(inner, waker);
                Poll::Ready(Some(job))
            }
            None if inner.closed => Poll::Ready(None),
            None => {
                inner.idle.push((self.id, cx.waker().clone()));
                Poll::Pending
            }
        }
    }

    /// Gives back a job that was taken and not begun: the next seat has it before all others, whatever the
    /// queue holds.
    pub fn put_back(&mut self, job: T) {
        lock(&self.queue.inner).jobs.push_front(job);
        self.rest();
    }

    /// Leaves the idle list until the next [`poll_pop`](Self::poll_pop), passing on a wake-up that was on its
    /// way here. For a thread that stops waiting without a job.
    pub fn rest(&mut self) {
        let mut inner = lock(&self.queue.inner);
        inner.forget(self.id);
        let waker = inner.wake_one();
        unlock_and_wake(inner, waker);
    }
}

impl<T> Drop for Seat<T> {
    fn drop(&mut self) {
        self.rest();
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    fn push(queue: &JobQueue<u32>, job: u32) -> Result<(), PushError<u32>> {
        queue.push(job, |job| job % 2 == 1)
    }

    fn pop(seat: &mut Seat<u32>) -> Poll<Option<u32>> {
        seat.poll_pop(&mut Context::from_waker(Waker::noop()))
    }

    /// A seat that waits, and how often it was woken.
    fn waiting_seat(queue: &JobQueue<u32>) -> (Seat<u32>, Arc<Wakes>) {
        let wakes = Arc::new(Wakes::default());
        let waker = Waker::from(wakes.clone());
        let mut seat = queue.seat();
        assert!(seat.poll_pop(&mut Context::from_waker(&waker)).is_pending());
        (seat, wakes)
    }

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wakes {
        fn count(&self) -> usize {
            self.0.load(Ordering::SeqCst)
        }
    }

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn jobs_are_taken_first_in_first_out() {
        let queue = JobQueue::new(3);
        for job in [2, 4, 6] {
            assert!(push(&queue, job).is_ok());
        }
        let (mut one, mut other) = (queue.seat(), queue.seat());
        assert_eq!(pop(&mut one), Poll::Ready(Some(2)));
        assert_eq!(pop(&mut other), Poll::Ready(Some(4)));
        assert_eq!(pop(&mut one), Poll::Ready(Some(6)));
        assert!(pop(&mut other).is_pending());
    }

    #[test]
    fn a_full_queue_hands_the_job_back() {
        let queue = JobQueue::new(2);
        assert!(push(&queue, 2).is_ok());
        assert!(push(&queue, 4).is_ok());
        assert!(matches!(push(&queue, 6), Err(PushError::Full(6))));
        assert_eq!(queue.len(), 2);
    }

    #[test]
    fn a_job_takes_the_place_of_a_stale_one_in_a_full_queue() {
        let queue = JobQueue::new(4);
        for job in [1, 2, 3, 4, 6, 8] {
            assert!(push(&queue, job).is_ok());
        }
        assert!(matches!(push(&queue, 10), Err(PushError::Full(10))));
        assert_eq!(queue.take_all(), [2, 4, 6, 8]);
    }

    #[test]
    fn a_stale_job_is_found_wherever_it_is_and_each_refusal_is_cheap() {
        let queue = JobQueue::new(3 * LOOKS);
        for job in 0..3 * LOOKS {
            assert!(queue.push(job, |_| false).is_ok());
        }
        let looks = AtomicUsize::new(0);
        let push = |job| {
            queue.push(job, |job| {
                looks.fetch_add(1, Ordering::SeqCst);
                *job == 3 * LOOKS - 1
            })
        };
        assert!(push(1000).is_err());
        assert!(push(1001).is_err());
        assert!(push(1002).is_ok());
        assert_eq!(looks.load(Ordering::SeqCst), 3 * LOOKS);
    }

    #[test]
    fn stale_jobs_are_left_alone_while_there_is_room() {
        let queue = JobQueue::new(3);
        for job in [1, 3, 2] {
            assert!(push(&queue, job).is_ok());
        }
        assert_eq!(queue.take_all(), [1, 3, 2]);
    }

    #[test]
    fn the_seat_that_waited_last_is_woken_first_and_alone() {
        let queue = JobQueue::new(3);
        let (_early, early) = waiting_seat(&queue);
        let (mut seat, late) = waiting_seat(&queue);
        assert!(push(&queue, 2).is_ok());
        assert!(push(&queue, 4).is_ok());
        assert_eq!((early.count(), late.count()), (0, 1));
        assert_eq!(pop(&mut seat), Poll::Ready(Some(2)));
        assert_eq!((early.count(), late.count()), (1, 1));
    }

    #[test]
    fn a_woken_seat_that_leaves_wakes_another() {
        let queue = JobQueue::new(1);
        let (_early, early) = waiting_seat(&queue);
        let (seat, _) = waiting_seat(&queue);
        assert!(push(&queue, 2).is_ok());
        drop(seat);
        assert_eq!(early.count(), 1);
    }

    #[test]
    fn a_job_that_is_put_back_is_the_next_one_and_wakes_another_seat() {
        let queue = JobQueue::new(2);
        let mut seat = queue.seat();
        assert!(push(&queue, 2).is_ok());
        assert_eq!(pop(&mut seat), Poll::Ready(Some(2)));
        let (mut other, wakes) = waiting_seat(&queue);
        seat.put_back(2);
        assert_eq!(wakes.count(), 1);
        assert!(push(&queue, 4).is_ok());
        assert_eq!(pop(&mut other), Poll::Ready(Some(2)));
        assert_eq!(pop(&mut other), Poll::Ready(Some(4)));
    }

    #[test]
    fn a_job_may_be_put_back_into_a_full_or_closed_queue() {
        let queue = JobQueue::new(1);
        let (mut one, mut other) = (queue.seat(), queue.seat());
        assert!(push(&queue, 2).is_ok());
        assert_eq!(pop(&mut one), Poll::Ready(Some(2)));
        assert!(push(&queue, 4).is_ok());
        queue.close();
        one.put_back(2);
        assert_eq!(pop(&mut other), Poll::Ready(Some(2)));
        assert_eq!(pop(&mut other), Poll::Ready(Some(4)));
        assert_eq!(pop(&mut other), Poll::Ready(None));
    }

    #[test]
    fn a_closed_queue_takes_no_job_and_gives_out_those_it_has() {
        let queue = JobQueue::new(2);
        let mut seat = queue.seat();
        assert!(push(&queue, 2).is_ok());
        queue.close();
        assert!(matches!(push(&queue, 4), Err(PushError::Closed(4))));
        assert_eq!(pop(&mut seat), Poll::Ready(Some(2)));
        assert_eq!(pop(&mut seat), Poll::Ready(None));
    }
}
