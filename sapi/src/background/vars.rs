//! What a background worker publishes: one snapshot at a time, replaced whole.
//!
//! A reader takes the current one by reference count and never waits for a writer's work. It waits only for the
//! first publish, and that wait also ends when the worker cannot boot or the server stops.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::sync::{Mutex, lock};

/// Why there is no snapshot to wait for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unavailable {
    /// The worker cannot boot; its last error.
    CannotBoot(String),
    /// The server or the site stops.
    Stopping,
}

struct Inner<T> {
    snapshot: Option<Arc<T>>,
    unavailable: Option<Unavailable>,
    readers: Vec<Waker>,
}

/// The place of a worker's snapshot.
pub struct Vars<T> {
    inner: Mutex<Inner<T>>,
}

impl<T> Default for Vars<T> {
    fn default() -> Self {
        Self {
            inner: Mutex::new(Inner {
                snapshot: None,
                unavailable: None,
                readers: Vec::new(),
            }),
        }
    }
}

impl<T> Vars<T> {
    /// Replaces the snapshot.
    pub fn publish(&self, snapshot: T) {
        self.change(|inner| inner.snapshot.replace(Arc::new(snapshot)));
    }

    /// Drops the snapshot: the worker is restarted on purpose.
    pub fn discard(&self) {
        self.change(|inner| inner.snapshot.take());
    }

    /// Tells waiting readers, and those to come, that there is nothing to wait for.
    pub fn set_unavailable(&self, why: Unavailable) {
        self.change(|inner| inner.unavailable.replace(why));
    }

    /// A new attempt to boot begins: readers wait again.
    pub fn set_available(&self) {
        self.change(|inner| inner.unavailable.take());
    }

    /// The current snapshot, without waiting.
    pub fn current(&self) -> Option<Arc<T>> {
        lock(&self.inner).snapshot.clone()
    }

    /// The current snapshot, or why there is none to wait for.
    pub fn poll_current(&self, cx: &mut Context<'_>) -> Poll<Result<Arc<T>, Unavailable>> {
        let mut inner = lock(&self.inner);
        if let Some(snapshot) = &inner.snapshot {
            return Poll::Ready(Ok(snapshot.clone()));
        }
        if let Some(why) = &inner.unavailable {
            return Poll::Ready(Err(why.clone()));
        }
        if !inner
            .readers
            .iter()
            .any(|reader| reader.will_wake(cx.waker()))
        {
            inner.readers.push(cx.waker().clone());
        }
        Poll::Pending
    }

    /// What was replaced is dropped outside the lock: freeing a large tree takes its time.
    fn change<O>(&self, change: impl FnOnce(&mut Inner<T>) -> O) {
        let (old, readers) = {
            let mut inner = lock(&self.inner);
            let old = change(&mut inner);
            (old, std::mem::take(&mut inner.readers))
        };
        drop(old);
        for reader in readers {
            reader.wake();
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn read(vars: &Vars<u32>) -> Poll<Result<u32, Unavailable>> {
        vars.poll_current(&mut Context::from_waker(Waker::noop()))
            .map_ok(|snapshot| *snapshot)
    }

    #[test]
    fn readers_get_the_last_snapshot_even_when_its_worker_cannot_boot_again() {
        let vars = Vars::default();
        assert!(read(&vars).is_pending());
        vars.publish(1);
        vars.publish(2);
        vars.set_unavailable(Unavailable::CannotBoot("gone".into()));
        assert_eq!(read(&vars), Poll::Ready(Ok(2)));
    }

    #[test]
    fn a_deliberate_restart_makes_readers_wait_again() {
        let vars = Vars::default();
        vars.publish(1);
        vars.discard();
        assert!(read(&vars).is_pending());
        vars.set_unavailable(Unavailable::Stopping);
        assert_eq!(read(&vars), Poll::Ready(Err(Unavailable::Stopping)));
        vars.set_available();
        assert!(read(&vars).is_pending());
    }
}
