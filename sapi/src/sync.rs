//! The synchronization primitives of the lock-free and cross-thread protocols, exchangeable for loom's under
//! `--cfg loom` so that the model checks run the shipped code.

#[cfg(not(loom))]
mod imp {
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
    pub(crate) use std::sync::{Mutex, MutexGuard};
    pub(crate) use std::thread::{Thread, current as current_thread, park, yield_now};

    pub(crate) fn park_until(deadline: std::time::Instant) {
        std::thread::park_timeout(deadline.saturating_duration_since(std::time::Instant::now()));
    }
}

#[cfg(loom)]
mod imp {
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU8, Ordering};
    pub(crate) use loom::sync::{Mutex, MutexGuard};
    pub(crate) use loom::thread::{Thread, current as current_thread, park, yield_now};

    /// Loom has no clock: a deadline may always have passed.
    pub(crate) fn park_until(_deadline: std::time::Instant) {
        yield_now();
    }
}

use std::task::Waker;

pub(crate) use imp::*;

/// Locks without poisoning: a panic while holding one of our locks leaves plain data behind that the next
/// holder can use, and a second panic would only take down a bystander.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Releases the lock, then wakes: the woken side would run into it otherwise.
pub(crate) fn unlock_and_wake<T>(guard: MutexGuard<'_, T>, waker: Option<Waker>) {
    drop(guard);
    if let Some(waker) = waker {
        waker.wake();
    }
}
