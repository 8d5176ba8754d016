//! What a background worker publishes: one snapshot at a time, replaced whole.
//!
//! A reader takes the current one by reference count and never waits for a writer's work. It waits only for the
//! first publish, and that wait also ends when the worker cannot boot or the server stops.
//!
//! A snapshot belongs to the life (one run of a script) that published it: a life that is ended on purpose takes
//! its own snapshot along, never that of a sibling or of its successor.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::sync::{Mutex, lock};

/// Why there is no snapshot to wait for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unavailable {
    /// The worker cannot boot; its last error.
    CannotBoot(String),
    /// Its restart policy lets it rest; how it ended.
    Ended(String),
    /// An operator keeps it down.
    Stopped,
    /// The server or the site stops.
    Stopping,
}

/// One run of a background worker's script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life(u64);

struct Inner<T> {
    snapshot: Option<Arc<T>>,
    /// Who published it.
    publisher: Option<Life>,
    lives: u64,
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
                publisher: None,
                lives: 0,
                unavailable: None,
                readers: Vec::new(),
            }),
        }
    }
}

impl<T> Vars<T> {
    /// A run of the worker's script begins.
    pub fn begin_life(&self) -> Life {
        let mut inner = lock(&self.inner);
        inner.lives += 1;
        Life(inner.lives)
    }

    /// Replaces the snapshot.
    pub fn publish(&self, publisher: Life, snapshot: T) {
        self.change(|inner| {
            inner.publisher = Some(publisher);
            inner.snapshot.replace(Arc::new(snapshot))
        });
    }

    /// The snapshot as it is becomes the publisher's: it would have published the same.
    pub fn adopt(&self, publisher: Life, snapshot: &Arc<T>) {
        let mut inner = lock(&self.inner);
        if let Some(current) = &inner.snapshot
            && Arc::ptr_eq(current, snapshot)
        {
            inner.publisher = Some(publisher);
        }
    }

    /// Drops the snapshot of a life that was ended on purpose.
    pub fn discard(&self, publisher: Life) {
        self.change(|inner| {
            if inner.publisher == Some(publisher) {
                inner.snapshot.take()
            } else {
                None
            }
        });
    }

    /// Drops the snapshot, whoever published it: the worker is taken down.
    pub fn clear(&self) {
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
        let life = vars.begin_life();
        assert!(read(&vars).is_pending());
        vars.publish(life, 1);
        vars.publish(life, 2);
        vars.set_unavailable(Unavailable::CannotBoot("gone".into()));
        assert_eq!(read(&vars), Poll::Ready(Ok(2)));
    }

    #[test]
    fn a_deliberate_restart_makes_readers_wait_again() {
        let vars = Vars::default();
        let life = vars.begin_life();
        vars.publish(life, 1);
        vars.discard(life);
        assert!(read(&vars).is_pending());
        vars.set_unavailable(Unavailable::Stopping);
        assert_eq!(read(&vars), Poll::Ready(Err(Unavailable::Stopping)));
        vars.set_available();
        assert!(read(&vars).is_pending());
    }

    #[test]
    fn a_life_that_ends_on_purpose_takes_along_only_its_own_snapshot() {
        let vars = Vars::default();
        let (old, new) = (vars.begin_life(), vars.begin_life());
        vars.publish(old, 1);
        vars.publish(new, 2);
        vars.discard(old);
        assert_eq!(read(&vars), Poll::Ready(Ok(2)));
        vars.discard(new);
        assert!(read(&vars).is_pending());
    }

    #[test]
    fn whoever_would_publish_the_same_is_its_publisher_from_then_on() {
        let vars = Vars::default();
        let (old, new) = (vars.begin_life(), vars.begin_life());
        vars.publish(old, 1);
        let outdated = vars.current().unwrap();
        vars.adopt(new, &outdated);
        vars.discard(old);
        assert_eq!(read(&vars), Poll::Ready(Ok(1)));
        vars.publish(old, 1);
        vars.adopt(new, &outdated);
        vars.discard(old);
        assert!(read(&vars).is_pending(), "it was another snapshot");
    }
}
