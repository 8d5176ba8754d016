//! The task port: payload there, updates back, and one outcome.
//!
//! Three owners, each unique. [`TaskSender`] stays with the script that sent the task. [`TaskOffer`] carries the
//! payload through the worker's queue and becomes the [`TaskWorker`] of the thread that takes it. Whoever goes
//! first moves the outcome in, exactly once: a worker's end completes or aborts, a sender's end cancels. No end
//! counts the others. The task's actor, and the request that sent it, may end it from outside by a [`TaskHold`].
//!
//! Updates are bounded by [`UPDATES`] credits: the worker waits when the sender does not read.

use std::collections::VecDeque;
use std::io;
use std::os::fd::RawFd;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

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
    /// An operator cancelled it.
    Revoked,
    /// The client of the request that sent it went away.
    Deserted,
    /// The worker let go of it without closing it.
    Aborted,
    /// It ran for longer than its worker's tasks may.
    Overdue(Duration),
    /// The sender waited in vain for a worker to accept it.
    NotAccepted,
    /// No worker took it.
    Refused(String),
}

/// The other end is gone: the task is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskClosed;

/// What the task's actor is told. Called on PHP threads, under no lock; must not block.
pub trait TaskObserver: Send + Sync {
    /// The task waits in the worker's queue. A thread may have taken it already.
    fn accepted(&self);
    /// The named thread took the task.
    fn taken(&self, worker: &Arc<str>);
    /// The task ended.
    fn ended(&self, outcome: &TaskOutcome);
}

/// A task as it is seen from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskLook {
    /// It has an outcome.
    pub is_over: bool,
    /// A worker has it in hand; it may still have when the task is over.
    pub is_held: bool,
    /// Updates that the worker has sent.
    pub sent: u64,
    /// Updates that the sender has read.
    pub read: u64,
}

/// A hold of a task for those outside: its actor, and the request that sent it.
pub trait TaskHold: Send + Sync {
    /// A look at it now.
    fn look(&self) -> TaskLook;
    /// Moves an outcome in; both ends find it at once. False when there was one already.
    fn end(&self, outcome: TaskOutcome) -> bool;
}

struct Inner<T> {
    updates: VecDeque<T>,
    outcome: Option<TaskOutcome>,
    taken: bool,
    held: bool,
    sent: u64,
    read: u64,
    sender: Option<Waker>,
    worker: Option<Waker>,
    sender_bell: Bell,
    worker_bell: Bell,
    observer: Option<Arc<dyn TaskObserver>>,
}

struct Port<T> {
    inner: Mutex<Inner<T>>,
}

impl<T> Port<T> {
    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        lock(&self.inner)
    }

    /// Moves the outcome in, if none is there yet.
    fn end(&self, outcome: TaskOutcome) -> bool {
        let (wakers, dropped, observer) = {
            let mut inner = self.lock();
            if inner.outcome.is_some() {
                return false;
            }
            inner.outcome = Some(outcome.clone());
            inner.sender_bell.set(true);
            inner.worker_bell.set(true);
            // Nobody reads what a cancelled task still says.
            let dropped = match outcome {
                TaskOutcome::Cancelled | TaskOutcome::Deserted => {
                    std::mem::take(&mut inner.updates)
                }
                _ => VecDeque::new(),
            };
            let wakers = [inner.sender.take(), inner.worker.take()];
            (wakers, dropped, inner.observer.take())
        };
        drop(dropped);
        if let Some(observer) = observer {
            observer.ended(&outcome);
        }
        for waker in wakers.into_iter().flatten() {
            waker.wake();
        }
        true
    }
}

impl<T: Send> TaskHold for Port<T> {
    fn look(&self) -> TaskLook {
        let inner = self.lock();
        TaskLook {
            is_over: inner.outcome.is_some(),
            is_held: inner.held,
            sent: inner.sent,
            read: inner.read,
        }
    }

    fn end(&self, outcome: TaskOutcome) -> bool {
        self.end(outcome)
    }
}

/// Opens a task. `observe` gets a hold of it and says who is told of it.
pub fn task<T: Send + 'static>(
    payload: T,
    observe: impl FnOnce(Weak<dyn TaskHold>) -> Arc<dyn TaskObserver>,
) -> (TaskSender<T>, TaskOffer<T>) {
    let inner = Inner {
        updates: VecDeque::new(),
        outcome: None,
        taken: false,
        held: false,
        sent: 0,
        read: 0,
        sender: None,
        worker: None,
        sender_bell: Bell::default(),
        worker_bell: Bell::default(),
        observer: None,
    };
    let port = Arc::new(Port {
        inner: Mutex::new(inner),
    });
    let hold: Weak<dyn TaskHold> = Arc::<Port<T>>::downgrade(&port);
    let observer = observe(hold);
    let ended = {
        let mut inner = port.lock();
        let ended = inner.outcome.clone();
        if ended.is_none() {
            inner.observer = Some(observer.clone());
        }
        ended
    };
    // By whoever has got the hold, in that moment.
    if let Some(outcome) = ended {
        observer.ended(&outcome);
    }
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

    /// The task was put into the worker's queue.
    pub fn accepted(&self) {
        let observer = self.port.lock().observer.clone();
        if let Some(observer) = observer {
            observer.accepted();
        }
    }

    /// Gives up a task that no worker has accepted in time.
    pub fn give_up(&mut self) {
        self.port.end(TaskOutcome::NotAccepted);
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

    /// Takes the task for the named thread: payload, and the end to answer through. `None` when the sender has
    /// given up.
    pub fn take(mut self, worker: &Arc<str>) -> Option<(T, TaskWorker<T>)> {
        let port = self.port.take()?;
        let payload = self.payload.take()?;
        let (sender, observer) = {
            let mut inner = port.lock();
            if inner.outcome.is_some() {
                return None;
            }
            inner.taken = true;
            inner.held = true;
            (inner.sender.take(), inner.observer.clone())
        };
        if let Some(sender) = sender {
            sender.wake();
        }
        if let Some(observer) = observer {
            observer.taken(worker);
        }
        Some((payload, TaskWorker { port }))
    }

    /// Ends the task for a worker that can't do so itself any more.
    pub(crate) fn breaker(&self) -> Option<TaskBreaker<T>> {
        let port = self.port.as_ref().map(Arc::downgrade)?;
        Some(TaskBreaker { port })
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

    /// True once the task has ended, however that was.
    pub(crate) fn is_over(&self) -> bool {
        let port = self.port.upgrade();
        port.is_none_or(|port| port.lock().outcome.is_some())
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

    /// How the task ended, once it is over.
    pub fn outcome(&self) -> Option<TaskOutcome> {
        self.port.lock().outcome.clone()
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
        let mut inner = self.port.lock();
        inner.held = false;
        inner.worker_bell = Bell::default();
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::background::bell::readable;

    #[derive(Default)]
    struct Heard(Mutex<Vec<String>>);

    impl TaskObserver for Heard {
        fn accepted(&self) {}
        fn taken(&self, worker: &Arc<str>) {
            lock(&self.0).push(format!("taken by {worker}"));
        }
        fn ended(&self, outcome: &TaskOutcome) {
            lock(&self.0).push(format!("{outcome:?}"));
        }
    }

    fn open() -> (TaskSender<u32>, TaskOffer<u32>, Arc<Heard>) {
        let heard = Arc::new(Heard::default());
        let (sender, offer) = task(7, |_| heard.clone());
        (sender, offer, heard)
    }

    fn take<T>(offer: TaskOffer<T>) -> Option<(T, TaskWorker<T>)> {
        offer.take(&"w".into())
    }

    fn next(sender: &mut TaskSender<u32>) -> Poll<Result<u32, TaskOutcome>> {
        sender.poll_update(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn updates_sent_before_the_end_are_read_before_it() {
        let (mut sender, offer, heard) = open();
        let (payload, mut worker) = take(offer).unwrap();
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
            ["taken by w", "Aborted"],
            "the outcome is moved in once"
        );
    }

    #[test]
    fn a_worker_waits_when_sixteen_updates_are_unread() {
        let (mut sender, offer, _) = open();
        let (_, mut worker) = take(offer).unwrap();
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
        assert!(take(offer).is_none());
        assert_eq!(*lock(&heard.0), ["Cancelled"]);

        let (sender, offer, _) = open();
        let (_, mut worker) = take(offer).unwrap();
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

    #[test]
    fn a_task_that_is_ended_from_outside_tells_both_ends_why() {
        let mut hold = None;
        let (mut sender, offer) = task(7, |port| {
            hold = Some(port);
            Arc::new(Heard::default())
        });
        let (_, mut worker) = take(offer).unwrap();
        worker.update(1).unwrap();
        let hold = hold.unwrap();
        let ended = hold.upgrade().unwrap();
        assert!(ended.end(TaskOutcome::Revoked));
        assert!(!ended.end(TaskOutcome::Completed), "once");
        assert_eq!(worker.update(2), Err(TaskClosed));
        assert_eq!(worker.outcome(), Some(TaskOutcome::Revoked));
        assert_eq!(next(&mut sender), Poll::Ready(Ok(1)));
        assert_eq!(next(&mut sender), Poll::Ready(Err(TaskOutcome::Revoked)));
        let seen = ended.look();
        assert_eq!(
            (seen.is_over, seen.is_held, seen.sent, seen.read),
            (true, true, 1, 1)
        );
        drop(worker);
        assert!(!ended.look().is_held);
        drop((ended, sender));
        assert!(hold.upgrade().is_none());
    }

    #[test]
    fn descriptors_are_readable_exactly_when_a_read_would_not_wait() {
        let (mut sender, offer, _) = open();
        let (_, mut worker) = take(offer).unwrap();
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
