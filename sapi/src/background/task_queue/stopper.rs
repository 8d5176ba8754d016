//! One thread of a pool as those who end it see it.

use std::task::Waker;
use std::time::Instant;

use super::super::task::TaskBreaker;
use super::{Stop, TaskQueue, Thread, wake};
use crate::control::Hold;

/// Tells one thread to stop, from elsewhere.
#[derive(Clone)]
pub struct Stopper<T> {
    pub(super) id: u64,
    pub(super) queue: TaskQueue<T>,
}

impl<T> Stopper<T> {
    /// The thread's stream says `"stop\n"`, then ends; tasks go to its siblings.
    pub fn stop(&self) {
        self.change(|thread| (thread.ask_to_stop(), true));
    }

    /// Changes the thread, if it is still there; its task signal, if that is taken from it, goes to another.
    fn change(&self, change: impl FnOnce(&mut Thread<T>) -> (Option<Waker>, bool)) -> bool {
        let mut inner = self.queue.lock();
        let mut threads = inner.threads.iter_mut();
        let Some(thread) = threads.find(|thread| thread.id == self.id) else {
            return false;
        };
        let (waker, changed) = change(thread);
        let wakers = inner.signal();
        drop(inner);
        wake(waker);
        wake(wakers);
        changed
    }
}

impl<T: Send> Hold for Stopper<T> {
    fn drain(&self) {
        self.stop();
    }

    fn retire(&self) -> bool {
        self.change(|thread| {
            let idle = thread.stop == Stop::No && thread.idle_since().is_some();
            if idle {
                thread.stop = Stop::Retired;
                thread.task = false;
                thread.sound();
            }
            (None, idle)
        })
    }

    fn idle_since(&self) -> Option<Instant> {
        let mut inner = self.queue.lock();
        let thread = inner.threads.iter_mut().find(|thread| thread.id == self.id);
        thread.and_then(Thread::idle_since)
    }

    fn lose(&self) {
        if let Some(thread) = self.queue.leave(self.id) {
            thread.taken.iter().for_each(TaskBreaker::abort);
        }
    }
}
