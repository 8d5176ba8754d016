//! Counts what must be gone at the end, actors and PHP threads, and what waits for the actors meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

#[derive(Debug, Default)]
struct Counts {
    actors: AtomicUsize,
    threads: AtomicUsize,
    lost: AtomicUsize,
    lost_ever: AtomicUsize,
    unread: AtomicUsize,
}

/// The counts of one tree; clones are handles to the same ones.
#[derive(Debug, Clone, Default)]
pub struct Census(Arc<Counts>);

impl Census {
    /// Actors that live.
    pub fn actors(&self) -> usize {
        self.0.actors.load(Ordering::SeqCst)
    }

    /// PHP threads that live, those written off included.
    pub fn threads(&self) -> usize {
        self.0.threads.load(Ordering::SeqCst)
    }

    /// PHP threads that were written off and have not ended since.
    pub fn lost_threads(&self) -> usize {
        self.0.lost.load(Ordering::SeqCst)
    }

    /// PHP threads that were ever written off.
    pub fn lost_threads_ever(&self) -> usize {
        self.0.lost_ever.load(Ordering::SeqCst)
    }

    /// Reports of PHP threads that their workers have not read yet: more than a few at a time mean that the
    /// actors don't keep up.
    pub fn unread_reports(&self) -> usize {
        self.0.unread.load(Ordering::SeqCst)
    }

    pub(crate) fn report(&self) -> Counted {
        self.count(|counts| &counts.unread)
    }

    pub(crate) fn actor(&self) -> Counted {
        self.count(|counts| &counts.actors)
    }

    pub(crate) fn thread(&self) -> Counted {
        self.count(|counts| &counts.threads)
    }

    pub(crate) fn lost_thread(&self) -> Counted {
        self.0.lost_ever.fetch_add(1, Ordering::SeqCst);
        self.count(|counts| &counts.lost)
    }

    fn count(&self, which: fn(&Counts) -> &AtomicUsize) -> Counted {
        which(&self.0).fetch_add(1, Ordering::SeqCst);
        Counted {
            counts: self.0.clone(),
            which,
        }
    }
}

/// Counts for as long as it lives.
#[must_use]
pub(crate) struct Counted {
    counts: Arc<Counts>,
    which: fn(&Counts) -> &AtomicUsize,
}

impl Drop for Counted {
    fn drop(&mut self) {
        (self.which)(&self.counts).fetch_sub(1, Ordering::SeqCst);
    }
}
