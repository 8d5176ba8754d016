//! The task port: payload there, updates back, and one outcome.
//!
//! Three owners, each unique. [`TaskSender`] stays with the script that sent the task. [`TaskOffer`] carries the
//! payload through the worker's queue and becomes the [`TaskWorker`] of the thread that takes it. Whoever goes
//! first moves the outcome in, exactly once: a worker's end completes or aborts, a sender's end cancels. No end
//! counts the others.
//!
//! Updates are bounded by [`UPDATES`] credits: the worker waits when the sender does not read.

use std::collections::VecDeque;
use std::io;
use std::os::fd::RawFd;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};

use super::bell::Bell;
use crate::sync::{Mutex, MutexGuard, lock};

/// Updates that may wait for the sender.
pub const UPDATES: usize = 16;

/// How a task ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskOutcome {
    /// The worker closed it.
    Completed,
    /// The sender closed it first.
    Cancelled,
    /// The worker let go of it without closing it.
    Aborted,
    /// No worker took it.
    Refused(String),
}

/// The other end is gone: the task is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskClosed;

/// What the task's actor is told. Called on PHP threads, under no lock; must not block.
pub trait TaskObserver: Send + Sync {
    /// A thread took the task.
    fn taken(&self);
    /// The task ended, after so many updates were sent and read.
    fn ended(&self, outcome: &TaskOutcome, sent: u64, read: u64);
}

struct Inner<T> {
    updates: VecDeque<T>,
    outcome: Option<TaskOutcome>,
    taken: bool,
    sent: u64,
    read: u64,
    sender: Option<Waker>,
    worker: Option<Waker>,
    sender_bell: Bell,
    worker_bell: Bell,
}

struct Port<T> {
    inner: Mutex<Inner<T>>,
    observer: Arc<dyn TaskObserver>,
}

impl<T> Port<T> {
    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        lock(&self.inner)
    }

    /// Moves the outcome in, if none is there yet.
    fn end(&self, outcome: TaskOutcome) {
        let (wakers, sent, read, dropped) = {
            let mut inner = self.lock();
            if inner.outcome.is_some() {
                return;
            }
            inner.outcome = Some(outcome.clone());
            inner.sender_bell.set(true);
            inner.worker_bell.set(true);
            // Nobody reads what a cancelled task still says.
            let dropped = match outcome {
                TaskOutcome::Cancelled => std::mem::take(&mut inner.updates),
                _ => VecDeque::new(),
            };
            (
                [inner.sender.take(), inner.worker.take()],
                inner.sent,
                inner.read,
                dropped,
            )
        };
        drop(dropped);
        for waker in wakers.into_iter().flatten() {
            waker.wake();
        }
        self.observer.ended(&outcome, sent, read);
    }
}

/// Opens a task.
pub fn task<T>(payload: T, observer: Arc<dyn TaskObserver>) -> (TaskSender<T>, TaskOffer<T>) {
    let inner = Inner {
        updates: VecDeque::new(),
        outcome: None,
        taken: false,
        sent: 0,
        read: 0,
        sender: None,
        worker: None,
        sender_bell: Bell::default(),
        worker_bell: Bell::default(),
    };
    let port = Arc::new(Port {
        inner: Mutex::new(inner),
        observer,
    });
    (
        TaskSender { port: port.clone() },
        TaskOffer {
            port: Some(port),
            payload: Some(payload),
        },
    )
}

/// The sender's end. Its drop cancels a task that is not over.
pub struct TaskSender<T> {
    port: Arc<Port<T>>,
}

impl<T> TaskSender<T> {
    /// The next update, or how the task ended once every update was read.
    pub fn poll_update(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, TaskOutcome>> {
        let mut inner = self.port.lock();
        if let Some(update) = inner.updates.pop_front() {
            inner.read += 1;
            let ringing = !inner.updates.is_empty() || inner.outcome.is_some();
            inner.sender_bell.set(ringing);
            let worker = inner.worker.take();
            drop(inner);
            if let Some(worker) = worker {
                worker.wake();
            }
            return Poll::Ready(Ok(update));
        }
        if let Some(outcome) = &inner.outcome {
            return Poll::Ready(Err(outcome.clone()));
        }
        inner.sender = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Ready when [`poll_update`](Self::poll_update) would be; takes nothing.
    pub fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut inner = self.port.lock();
        if !inner.updates.is_empty() || inner.outcome.is_some() {
            return Poll::Ready(());
        }
        inner.sender = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Ready once a worker has taken the task, or it has ended without.
    pub fn poll_taken(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut inner = self.port.lock();
        if inner.taken || inner.outcome.is_some() {
            return Poll::Ready(());
        }
        inner.sender = Some(cx.waker().clone());
        Poll::Pending
    }

    /// True once the task is over and everything was read.
    pub fn is_exhausted(&self) -> bool {
        let inner = self.port.lock();
        inner.outcome.is_some() && inner.updates.is_empty()
    }

    /// A descriptor that is readable when [`poll_update`](Self::poll_update) would not wait.
    pub fn descriptor(&mut self) -> io::Result<RawFd> {
        self.port.lock().sender_bell.descriptor()
    }
}

impl<T> Drop for TaskSender<T> {
    fn drop(&mut self) {
        self.port.end(TaskOutcome::Cancelled);
        self.port.lock().sender_bell = Bell::default();
    }
}

/// A task on its way to a worker. Dropped on the way, it is refused.
pub struct TaskOffer<T> {
    port: Option<Arc<Port<T>>>,
    payload: Option<T>,
}

impl<T> TaskOffer<T> {
    /// True when the sender has given up: nobody needs to see this task.
    pub fn is_cancelled(&self) -> bool {
        self.port
            .as_ref()
            .is_none_or(|port| port.lock().outcome.is_some())
    }

    /// Takes the task: payload, and the end to answer through. `None` when the sender has given up.
    pub fn take(mut self) -> Option<(T, TaskWorker<T>)> {
        let port = self.port.take()?;
        let payload = self.payload.take()?;
        let sender = {
            let mut inner = port.lock();
            if inner.outcome.is_some() {
                return None;
            }
            inner.taken = true;
            inner.sender.take()
        };
        if let Some(sender) = sender {
            sender.wake();
        }
        port.observer.taken();
        Some((payload, TaskWorker { port }))
    }

    /// Refuses the task, saying why.
    pub fn refuse(mut self, why: &str) {
        if let Some(port) = self.port.take() {
            port.end(TaskOutcome::Refused(why.to_owned()));
        }
    }
}

impl<T> Drop for TaskOffer<T> {
    fn drop(&mut self) {
        if let Some(port) = self.port.take() {
            port.end(TaskOutcome::Refused(
                "the background worker stopped before it took the task".to_owned(),
            ));
        }
    }
}

/// Aborts a task whose worker's thread was given up, if it is still in hand.
pub(crate) struct TaskBreaker<T> {
    port: Weak<Port<T>>,
}

impl<T> TaskBreaker<T> {
    pub(crate) fn is_spent(&self) -> bool {
        self.port.strong_count() == 0
    }

    pub(crate) fn abort(&self) {
        if let Some(port) = self.port.upgrade() {
            port.end(TaskOutcome::Aborted);
        }
    }
}

/// The worker's end. Its drop without [`complete`](Self::complete) aborts the task.
pub struct TaskWorker<T> {
    port: Arc<Port<T>>,
}

impl<T> TaskWorker<T> {
    pub(crate) fn breaker(&self) -> TaskBreaker<T> {
        TaskBreaker {
            port: Arc::downgrade(&self.port),
        }
    }

    /// Ready when an update may be sent.
    pub fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TaskClosed>> {
        let mut inner = self.port.lock();
        if inner.outcome.is_some() {
            return Poll::Ready(Err(TaskClosed));
        }
        if inner.updates.len() < UPDATES {
            return Poll::Ready(Ok(()));
        }
        inner.worker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Sends an update. Call after [`poll_room`](Self::poll_room) said so.
    pub fn update(&mut self, update: T) -> Result<(), TaskClosed> {
        let mut inner = self.port.lock();
        if inner.outcome.is_some() {
            return Err(TaskClosed);
        }
        inner.updates.push_back(update);
        inner.sent += 1;
        inner.sender_bell.set(true);
        let sender = inner.sender.take();
        drop(inner);
        if let Some(sender) = sender {
            sender.wake();
        }
        Ok(())
    }

    /// Ready once the sender has given up.
    pub fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut inner = self.port.lock();
        if inner.outcome.is_some() {
            return Poll::Ready(());
        }
        inner.worker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// True once the sender has given up.
    pub fn is_closed(&self) -> bool {
        self.port.lock().outcome.is_some()
    }

    /// Ends the task well.
    pub fn complete(self) {
        self.port.end(TaskOutcome::Completed);
    }

    /// A descriptor that is readable once the sender has given up.
    pub fn descriptor(&mut self) -> io::Result<RawFd> {
        self.port.lock().worker_bell.descriptor()
    }
}

impl<T> Drop for TaskWorker<T> {
    fn drop(&mut self) {
        self.port.end(TaskOutcome::Aborted);
        self.port.lock().worker_bell = Bell::default();
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Heard(Mutex<Vec<String>>);

    impl TaskObserver for Heard {
        fn taken(&self) {
            lock(&self.0).push("taken".into());
        }
        fn ended(&self, outcome: &TaskOutcome, sent: u64, read: u64) {
            lock(&self.0).push(format!("{outcome:?} {sent} {read}"));
        }
    }

    fn open() -> (TaskSender<u32>, TaskOffer<u32>, Arc<Heard>) {
        let heard = Arc::new(Heard::default());
        let (sender, offer) = task(7, heard.clone());
        (sender, offer, heard)
    }

    fn next(sender: &mut TaskSender<u32>) -> Poll<Result<u32, TaskOutcome>> {
        sender.poll_update(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn updates_sent_before_the_end_are_read_before_it() {
        let (mut sender, offer, heard) = open();
        let (payload, mut worker) = offer.take().unwrap();
        assert_eq!(payload, 7);
        worker.update(1).unwrap();
        worker.update(2).unwrap();
        drop(worker);
        assert_eq!(next(&mut sender), Poll::Ready(Ok(1)));
        assert_eq!(next(&mut sender), Poll::Ready(Ok(2)));
        assert_eq!(next(&mut sender), Poll::Ready(Err(TaskOutcome::Aborted)));
        drop(sender);
        assert_eq!(
            *lock(&heard.0),
            ["taken", "Aborted 2 0"],
            "the outcome is moved in once"
        );
    }

    #[test]
    fn a_worker_waits_when_sixteen_updates_are_unread() {
        let (mut sender, offer, _) = open();
        let (_, mut worker) = offer.take().unwrap();
        let mut cx = Context::from_waker(Waker::noop());
        for n in 0..UPDATES as u32 {
            assert_eq!(worker.poll_room(&mut cx), Poll::Ready(Ok(())));
            worker.update(n).unwrap();
        }
        assert!(worker.poll_room(&mut cx).is_pending());
        assert_eq!(next(&mut sender), Poll::Ready(Ok(0)));
        assert_eq!(worker.poll_room(&mut cx), Poll::Ready(Ok(())));
    }

    #[test]
    fn a_cancelled_task_is_not_taken_and_refuses_updates() {
        let (sender, offer, heard) = open();
        drop(sender);
        assert!(offer.take().is_none());
        assert_eq!(*lock(&heard.0), ["Cancelled 0 0"]);

        let (sender, offer, _) = open();
        let (_, mut worker) = offer.take().unwrap();
        drop(sender);
        assert_eq!(worker.update(1), Err(TaskClosed));
    }

    #[test]
    fn an_offer_that_nobody_takes_is_refused_with_the_reason() {
        let (mut sender, offer, _) = open();
        offer.refuse("cannot boot");
        assert_eq!(
            next(&mut sender),
            Poll::Ready(Err(TaskOutcome::Refused("cannot boot".into())))
        );
    }

    fn readable(descriptor: RawFd) -> bool {
        let mut poll = libc::pollfd {
            fd: descriptor,
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: one valid pollfd.
        unsafe { libc::poll(&mut poll, 1, 0) == 1 }
    }

    #[test]
    fn descriptors_are_readable_exactly_when_a_read_would_not_wait() {
        let (mut sender, offer, _) = open();
        let (_, mut worker) = offer.take().unwrap();
        worker.update(1).unwrap();
        let bell = sender.descriptor().unwrap();
        let other = worker.descriptor().unwrap();
        assert!(readable(bell), "made while an update waits");
        assert!(next(&mut sender).is_ready());
        assert!(!readable(bell));
        worker.update(2).unwrap();
        assert!(readable(bell));
        assert!(!readable(other));
        drop(sender);
        assert!(readable(other));
    }
}
