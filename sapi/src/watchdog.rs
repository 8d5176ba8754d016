//! One thread that keeps every deadline.
//!
//! Arming costs a request an atomic load: the watchdog sleeps until the earliest deadline it knows, and only a
//! deadline before that wakes it. With equal limits a new request's deadline never is.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::control::Shared;

pub(crate) struct Watchdog {
    epoch: Instant,
    /// When the watchdog will look next, in nanoseconds since `epoch`.
    next: AtomicU64,
    threads: Mutex<Threads>,
    changed: Condvar,
}

#[derive(Default)]
struct Threads {
    watched: Vec<Weak<Shared>>,
    stopping: bool,
}

impl Watchdog {
    pub(crate) fn start() -> std::io::Result<Arc<Self>> {
        let watchdog = Arc::new(Self {
            epoch: Instant::now(),
            next: AtomicU64::new(u64::MAX),
            threads: Mutex::default(),
            changed: Condvar::new(),
        });
        let this = watchdog.clone();
        std::thread::Builder::new()
            .name("watchdog".into())
            .spawn(move || this.run())?;
        Ok(watchdog)
    }

    pub(crate) fn watch(&self, thread: &Arc<Shared>) {
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        threads.watched.retain(|thread| thread.strong_count() > 0);
        threads.watched.push(Arc::downgrade(thread));
    }

    /// Makes sure that the watchdog looks at `when`.
    pub(crate) fn arm(&self, when: Instant) {
        let when = self.nanos(when);
        if when < self.next.load(Ordering::SeqCst) {
            // Under the lock, so that the watchdog is either before its look or in its sleep.
            let _threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
            self.next.fetch_min(when, Ordering::SeqCst);
            self.changed.notify_one();
        }
    }

    pub(crate) fn stop(&self) {
        self.threads
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .stopping = true;
        self.changed.notify_one();
    }

    fn nanos(&self, when: Instant) -> u64 {
        u64::try_from(when.saturating_duration_since(self.epoch).as_nanos()).unwrap_or(u64::MAX)
    }

    fn run(&self) {
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        while !threads.stopping {
            let now = Instant::now();
            if self.nanos(now) >= self.next.load(Ordering::SeqCst) {
                // First the mark, then the look: a deadline armed during the look lowers the mark again or is
                // seen by the look.
                self.next.store(u64::MAX, Ordering::SeqCst);
                let due = threads
                    .watched
                    .iter()
                    .filter_map(|thread| thread.upgrade()?.tend(now))
                    .min();
                if let Some(due) = due {
                    self.next.fetch_min(self.nanos(due), Ordering::SeqCst);
                }
            }
            let next = self.next.load(Ordering::SeqCst);
            let pause = match next {
                u64::MAX => Duration::from_secs(3600),
                next => Duration::from_nanos(next.saturating_sub(self.nanos(Instant::now()))),
            };
            threads = match self.changed.wait_timeout(threads, pause) {
                Ok((threads, _)) => threads,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }
}
