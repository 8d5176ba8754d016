//! A background pool's task queue, and the signals of its threads.
//!
//! A queued task signals one thread: its stream becomes readable, it reads `"task\n"` and takes tasks until
//! there are none. Invariant: while tasks wait and threads are ready, at least `min(tasks, threads)` threads are
//! signalled or have just been; a thread that leaves passes its signal on. A thread that waits is preferred to
//! one that is busy, the one that began to wait last first; and one that begins to wait takes over the signal of
//! one that is busy, so that no task waits beside an idle thread. A signal is never taken back from a thread that
//! may have seen it.
//!
//! Senders wait for room in the order they came; room wakes one of them, and one that leaves passes it on.

mod stopper;

use std::collections::VecDeque;
use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

pub use self::stopper::Stopper;

use super::bell::Bell;
use super::task::{TaskBreaker, TaskOffer, TaskWorker};
use super::vars::Unavailable;
use crate::sync::{Mutex, MutexGuard, lock};

/// What a background worker's signaling stream says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// A task waits.
    Task,
    /// Leave; said once.
    Stop,
    /// Nothing more will come.
    End,
}

struct Thread<T> {
    id: u64,
    task: bool,
    stop: Stop,
    waiting: Option<Waker>,
    watch: Watch,
    bell: Bell,
    stop_bell: Bell,
    /// The tasks it has taken, for the case that it is lost with them.
    taken: Vec<TaskBreaker<T>>,
    /// When it was last seen to hold a task, or came.
    busy_at: Instant,
}

/// Whether a thread's script may have seen its descriptor ring.
#[derive(Default, PartialEq, Eq, Clone, Copy)]
enum Watch {
    /// It has not looked since its last signal: it is busy.
    #[default]
    No,
    /// It has given the descriptor to `stream_select` since.
    Select,
    /// Something of its own watches the descriptor, all the time.
    Always,
}

#[derive(Default, PartialEq, Eq, Clone, Copy)]
enum Stop {
    #[default]
    No,
    /// It is given no more tasks, and will be asked.
    Retired,
    Asked,
    Told,
}

impl Stop {
    fn is_asked(self) -> bool {
        matches!(self, Self::Asked | Self::Told)
    }
}

impl<T> Thread<T> {
    fn new(id: u64) -> Self {
        Self {
            id,
            task: false,
            stop: Stop::No,
            waiting: None,
            watch: Watch::No,
            bell: Bell::default(),
            stop_bell: Bell::default(),
            taken: Vec::new(),
            busy_at: Instant::now(),
        }
    }

    /// Since when it has held no task, as far as it was looked at.
    fn idle_since(&mut self) -> Option<Instant> {
        self.taken.retain(|task| !task.is_spent());
        if self.taken.iter().any(|task| !task.is_over()) {
            self.busy_at = Instant::now();
            return None;
        }
        Some(self.busy_at)
    }

    /// What it says from now on. `None` when it had been asked before.
    fn ask_to_stop(&mut self) -> Option<Waker> {
        if self.stop.is_asked() {
            return None;
        }
        self.stop = Stop::Asked;
        self.task = false;
        self.ring()
    }

    fn is_signalled(&self) -> bool {
        self.task || self.stop.is_asked()
    }

    /// How sure it is that the thread would act on a signal at once.
    fn idleness(&self) -> u8 {
        match (&self.waiting, self.watch) {
            (Some(_), _) => 2,
            (None, Watch::Select | Watch::Always) => 1,
            (None, Watch::No) => 0,
        }
    }

    /// Makes the descriptors say what is true.
    fn sound(&mut self) {
        let signalled = self.is_signalled();
        self.bell.set(signalled);
        self.stop_bell.set(self.stop.is_asked());
    }

    /// After a change: the waker to wake, if there is something to say.
    fn ring(&mut self) -> Option<Waker> {
        self.sound();
        if self.is_signalled() {
            self.waiting.take()
        } else {
            None
        }
    }
}

struct Inner<T> {
    offers: VecDeque<TaskOffer<T>>,
    capacity: usize,
    unavailable: Option<Unavailable>,
    /// Ready threads; the one that began to wait last stands last.
    threads: Vec<Thread<T>>,
    /// Senders that wait for room, the longest first.
    senders: VecDeque<(u64, Waker)>,
    next_id: u64,
    /// Told when a task waits or its sender does.
    on_wait: Option<OnWait>,
}

/// See [`TaskQueue::on_wait`].
pub type OnWait = Arc<dyn Fn() + Send + Sync>;

impl<T> Inner<T> {
    /// Signals as many threads as there are tasks.
    fn signal(&mut self) -> Vec<Waker> {
        let signalled = self.threads.iter().filter(|thread| thread.task).count();
        let mut missing = self.offers.len().saturating_sub(signalled);
        let mut wakers = Vec::new();
        for idleness in [2, 1, 0] {
            for thread in self.threads.iter_mut().rev() {
                let fit = !thread.task && thread.stop == Stop::No && thread.idleness() == idleness;
                if missing > 0 && fit {
                    thread.task = true;
                    missing -= 1;
                    wakers.extend(thread.ring());
                }
            }
        }
        wakers
    }

    /// A thread that begins to wait takes over the signal of one that is busy.
    fn take_over(&mut self, id: u64) {
        let is_free =
            |thread: &Thread<T>| thread.id == id && !thread.task && thread.stop == Stop::No;
        if !self.threads.iter().any(is_free) {
            return;
        }
        let mut threads = self.threads.iter_mut();
        let Some(busy) = threads.find(|thread| thread.task && thread.idleness() == 0) else {
            return;
        };
        busy.task = false;
        busy.sound();
        if let Some(thread) = self.threads.iter_mut().find(|thread| thread.id == id) {
            thread.task = true;
            thread.sound();
        }
    }

    /// Takes back the signal of a thread that took a task unasked, when more threads are signalled than tasks
    /// wait.
    fn unsignal(&mut self, id: u64) {
        let signalled = self.threads.iter().filter(|thread| thread.task).count();
        if signalled > self.offers.len()
            && let Some(thread) = self.threads.iter_mut().find(|thread| thread.id == id)
        {
            thread.task = false;
            thread.sound();
        }
    }

    fn purge(&mut self) -> Vec<TaskOffer<T>> {
        let (gone, kept): (VecDeque<_>, _) =
            self.offers.drain(..).partition(TaskOffer::is_cancelled);
        self.offers = kept;
        gone.into()
    }

    /// The sender whose turn it is, when there is room.
    fn next_sender(&self) -> Option<Waker> {
        if self.offers.len() >= self.capacity {
            return None;
        }
        self.senders.front().map(|(_, waker)| waker.clone())
    }
}

fn wake(wakers: impl IntoIterator<Item = Waker>) {
    for waker in wakers {
        waker.wake();
    }
}

/// The queue; clones are handles to the same one.
pub struct TaskQueue<T> {
    inner: Arc<Mutex<Inner<T>>>,
}

impl<T> Clone for TaskQueue<T> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
        }
    }
}

impl<T> TaskQueue<T> {
    /// A queue in which `capacity` tasks may wait that no thread has taken.
    pub fn new(capacity: usize) -> Self {
        let inner = Inner {
            offers: VecDeque::new(),
            capacity: capacity.max(1),
            unavailable: None,
            threads: Vec::new(),
            senders: VecDeque::new(),
            next_id: 0,
            on_wait: None,
        };
        Self {
            inner: Arc::new(Mutex::new(inner)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        lock(&self.inner)
    }

    /// A sender's place in the line for room.
    pub fn line(&self) -> Line<T> {
        let mut inner = self.lock();
        inner.next_id += 1;
        Line {
            id: inner.next_id,
            queue: self.clone(),
        }
    }

    /// The named thread's place, from the moment it is ready.
    pub fn place(&self, worker: &str) -> Place<T> {
        let mut inner = self.lock();
        inner.next_id += 1;
        let id = inner.next_id;
        inner.threads.push(Thread::new(id));
        let wakers = inner.signal();
        drop(inner);
        wake(wakers);
        Place {
            id,
            worker: worker.into(),
            queue: self.clone(),
        }
    }

    /// Refuses tasks from now on, queued ones included, and tells their senders why.
    pub fn set_unavailable(&self, why: &Unavailable) {
        let mut inner = self.lock();
        inner.unavailable = Some(why.clone());
        let offers = std::mem::take(&mut inner.offers);
        let senders = std::mem::take(&mut inner.senders);
        drop(inner);
        let text = match why {
            Unavailable::CannotBoot(why) | Unavailable::Ended(why) => why,
            Unavailable::Stopped => "the background worker is stopped",
            Unavailable::Stopping => "the server is shutting down",
        };
        offers.into_iter().for_each(|offer| offer.refuse(text));
        wake(senders.into_iter().map(|(_, waker)| waker));
    }

    /// A new attempt to boot begins.
    pub fn set_available(&self) {
        self.lock().unavailable = None;
    }

    /// Drops tasks whose senders have given up, and so makes room. Called by a sender that did.
    pub fn forget_cancelled(&self) {
        let mut inner = self.lock();
        let gone = inner.purge();
        let sender = inner.next_sender();
        drop(inner);
        drop(gone);
        wake(sender);
    }

    /// Takes a thread off the list; its signal goes to another.
    fn leave(&self, id: u64) -> Option<Thread<T>> {
        let mut inner = self.lock();
        let index = inner.threads.iter().position(|thread| thread.id == id);
        let thread = index.map(|index| inner.threads.remove(index));
        let wakers = inner.signal();
        drop(inner);
        wake(wakers);
        thread
    }

    /// Has `told` called whenever a task has to wait for a thread: by the sender, on its thread, under no lock.
    pub fn on_wait(&self, told: Option<OnWait>) {
        let _replaced = std::mem::replace(&mut self.lock().on_wait, told);
    }

    /// Tasks that wait for a thread, those included whose senders wait for room in the queue.
    pub fn demand(&self) -> usize {
        let inner = self.lock();
        inner.offers.len() + inner.senders.len()
    }

    /// Tasks that wait.
    pub fn len(&self) -> usize {
        self.lock().offers.len()
    }

    /// So many may wait.
    pub fn capacity(&self) -> usize {
        self.lock().capacity
    }

    /// Why tasks are refused, if they are.
    pub fn unavailable(&self) -> Option<Unavailable> {
        self.lock().unavailable.clone()
    }

    /// True when none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Threads that are ready.
    pub fn threads(&self) -> usize {
        self.lock().threads.len()
    }
}

/// A sender that wants to queue one task.
pub struct Line<T> {
    id: u64,
    queue: TaskQueue<T>,
}

impl<T> Line<T> {
    /// Queues the task in `offer` once there is room and it is this sender's turn; takes it out of `offer`.
    pub fn poll_send(
        &mut self,
        offer: &mut Option<TaskOffer<T>>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Unavailable>> {
        let mut inner = self.queue.lock();
        if let Some(why) = &inner.unavailable {
            return Poll::Ready(Err(why.clone()));
        }
        let gone = if inner.offers.len() >= inner.capacity {
            inner.purge()
        } else {
            Vec::new()
        };
        let mine = inner.senders.front().is_none_or(|(id, _)| *id == self.id);
        if inner.offers.len() >= inner.capacity || !mine {
            match inner.senders.iter_mut().find(|(id, _)| *id == self.id) {
                Some((_, waker)) => waker.clone_from(cx.waker()),
                None => inner.senders.push_back((self.id, cx.waker().clone())),
            }
            // Room may just have been made for the one in front.
            let next = if gone.is_empty() {
                None
            } else {
                inner.next_sender()
            };
            let told = inner.on_wait.clone();
            drop(inner);
            drop(gone);
            wake(next);
            told.inspect(|told| told());
            return Poll::Pending;
        }
        inner.senders.retain(|(id, _)| *id != self.id);
        inner.offers.extend(offer.take());
        let wakers = inner.signal();
        let next = inner.next_sender();
        let told = inner.on_wait.clone();
        drop(inner);
        drop(gone);
        wake(wakers);
        wake(next);
        told.inspect(|told| told());
        Poll::Ready(Ok(()))
    }
}

impl<T> Drop for Line<T> {
    fn drop(&mut self) {
        let mut inner = self.queue.lock();
        inner.senders.retain(|(id, _)| *id != self.id);
        let next = inner.next_sender();
        drop(inner);
        wake(next);
    }
}

/// A ready thread of the pool. Its drop passes its signal on.
pub struct Place<T> {
    id: u64,
    worker: Arc<str>,
    queue: TaskQueue<T>,
}

impl<T> Place<T> {
    fn with<R>(&self, work: impl FnOnce(&mut Thread<T>) -> R) -> Option<R> {
        let mut inner = self.queue.lock();
        inner
            .threads
            .iter_mut()
            .find(|thread| thread.id == self.id)
            .map(work)
    }

    /// A handle that can tell this thread to stop.
    pub fn stopper(&self) -> Stopper<T> {
        Stopper {
            id: self.id,
            queue: self.queue.clone(),
        }
    }

    /// The next signal.
    pub fn poll_signal(&mut self, cx: &mut Context<'_>) -> Poll<Signal> {
        let mut inner = self.queue.lock();
        inner.take_over(self.id);
        let Some(index) = inner.threads.iter().position(|thread| thread.id == self.id) else {
            return Poll::Ready(Signal::End);
        };
        let thread = &mut inner.threads[index];
        let signal = match thread.stop {
            Stop::Asked => {
                thread.stop = Stop::Told;
                Signal::Stop
            }
            Stop::Told => Signal::End,
            Stop::No if thread.task => {
                thread.task = false;
                Signal::Task
            }
            Stop::No | Stop::Retired => {
                thread.waiting = Some(cx.waker().clone());
                // Last in the list is first to be signalled.
                let thread = inner.threads.remove(index);
                inner.threads.push(thread);
                return Poll::Pending;
            }
        };
        thread.waiting = None;
        if thread.watch == Watch::Select {
            thread.watch = Watch::No;
        }
        thread.sound();
        Poll::Ready(signal)
    }

    /// Ready when [`poll_signal`](Self::poll_signal) would be; takes nothing.
    pub fn is_signalled(&self) -> bool {
        self.with(|thread| thread.is_signalled()).unwrap_or(true)
    }

    /// Ready once the thread was told to stop; takes nothing.
    pub fn poll_stop(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let stopping = self.with(|thread| {
            let stopping = thread.stop.is_asked();
            if !stopping {
                thread.waiting = Some(cx.waker().clone());
            }
            stopping
        });
        if stopping.unwrap_or(true) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    /// A descriptor that is readable once the thread was told to stop.
    pub fn stop_descriptor(&mut self) -> io::Result<RawFd> {
        self.with(|thread| thread.stop_bell.descriptor())
            .unwrap_or_else(|| Err(io::Error::other("the worker has left its pool")))
    }

    /// Takes a task, if one waits. A thread that was told to stop gets none: they are its siblings' or its next
    /// life's.
    pub fn receive(&mut self) -> Option<(T, TaskWorker<T>)> {
        let mut gone = Vec::new();
        let taken = loop {
            let mut inner = self.queue.lock();
            let index = inner
                .threads
                .iter()
                .position(|thread| thread.id == self.id && thread.stop == Stop::No);
            let Some(index) = index else { break None };
            let offer = inner.offers.pop_front();
            inner.unsignal(self.id);
            let Some(offer) = offer else { break None };
            let thread = &mut inner.threads[index];
            thread.taken.retain(|earlier| !earlier.is_spent());
            thread.taken.extend(offer.breaker());
            thread.busy_at = Instant::now();
            let wakers = inner.signal();
            let next = inner.next_sender();
            drop(inner);
            wake(wakers);
            wake(next);
            if offer.is_cancelled() {
                gone.push(offer);
            } else if let Some(task) = offer.take(&self.worker) {
                break Some(task);
            }
        };
        drop(gone);
        taken
    }

    /// A descriptor that is readable while a signal waits: for one look at it that is about to begin, or for
    /// whoever keeps it.
    pub fn descriptor(&mut self, keeps: bool) -> io::Result<RawFd> {
        let mut inner = self.queue.lock();
        inner.take_over(self.id);
        let mut threads = inner.threads.iter_mut();
        let Some(thread) = threads.find(|thread| thread.id == self.id) else {
            return Err(io::Error::other("the worker has left its pool"));
        };
        if keeps {
            thread.watch = Watch::Always;
        } else if thread.watch == Watch::No {
            thread.watch = Watch::Select;
        }
        thread.bell.descriptor()
    }
}

impl<T> Drop for Place<T> {
    fn drop(&mut self) {
        let mut inner = self.queue.lock();
        let index = inner.threads.iter().position(|thread| thread.id == self.id);
        let thread = index.map(|index| inner.threads.remove(index));
        let wakers = inner.signal();
        drop(inner);
        drop(thread);
        wake(wakers);
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
