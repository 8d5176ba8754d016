//! Asking a thread for the PHP stack of its script.
//!
//! First the script is asked to tell it itself, at its next interrupt check. One that does not get there, since it
//! is in a call that takes long, is read by a signal's handler on its thread (`trace.c`); its call goes on.

use std::sync::PoisonError;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use php_sys::{
    TROUPE_ASKED_BACKTRACE, TROUPE_TRACE_ASKED, TROUPE_TRACE_IDLE, TROUPE_TRACE_TOLD, troupe_trace,
};

use super::{Shared, ThreadControl};
use crate::sync::lock;

/// Between two looks whether the signal has been handled, which takes microseconds.
const LOOK_AGAIN: Duration = Duration::from_micros(500);

impl ThreadControl {
    /// The PHP stack of the running script, one frame a line, the innermost first. `None` when nothing runs, or
    /// the thread neither told it nor could be read within twice the `timeout`. Blocks the calling thread.
    pub fn backtrace(&self, timeout: Duration) -> Option<String> {
        let shared = &self.shared;
        shared.told(timeout).or_else(|| shared.read(timeout))
    }
}

impl Shared {
    /// What the script tells.
    fn told(&self, timeout: Duration) -> Option<String> {
        let (sender, receiver) = sync_channel(1);
        {
            let mut state = lock(&self.state);
            if !state.is_busy() {
                return None;
            }
            state.backtrace_to = Some(sender);
            self.asked
                .fetch_or(TROUPE_ASKED_BACKTRACE, Ordering::SeqCst);
            if let Some(target) = &state.target {
                // SAFETY: as in `kick`: the flag lives while `target` is set.
                unsafe { (*target.vm_interrupt).store(true, Ordering::SeqCst) };
            }
        }
        receiver.recv_timeout(timeout).ok()
    }

    /// What is read of it.
    fn read(&self, timeout: Duration) -> Option<String> {
        let _looking = self.looking.lock().unwrap_or_else(PoisonError::into_inner);
        let generation = {
            let state = lock(&self.state);
            let target = state.target.as_ref().filter(|_| state.is_busy())?;
            // SAFETY: as in `kick`: the place and the thread are alive while `target` is set.
            unsafe {
                state_of(target.trace).store(TROUPE_TRACE_ASKED, Ordering::SeqCst);
                libc::pthread_kill(target.thread, php_sys::troupe_trace_signal());
            }
            state.generation
        };
        let until = Instant::now() + timeout;
        loop {
            let (text, is_over) = {
                let state = lock(&self.state);
                let target = state.target.as_ref()?;
                let is_over = state.generation != generation || Instant::now() >= until;
                // SAFETY: as above.
                (unsafe { take(target.trace, is_over) }, is_over)
            };
            if text.is_some() || is_over {
                return text;
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }
}

/// # Safety
///
/// `trace` is alive for as long as the reference is used.
unsafe fn state_of<'a>(trace: *const troupe_trace) -> &'a AtomicU32 {
    // SAFETY: the caller's promise; both sides use the field as an atomic only.
    unsafe { &*(&raw const (*trace).state).cast::<AtomicU32>() }
}

/// The stack, if it has been told. With `at_last` it is no longer asked for.
///
/// # Safety
///
/// `trace` is alive during the call, and only this thread asks for it.
unsafe fn take(trace: *const troupe_trace, at_last: bool) -> Option<String> {
    // SAFETY: the caller's promise. Once it is told, the handler writes no more until it is asked again.
    unsafe {
        let state = state_of(trace);
        if state.load(Ordering::SeqCst) == TROUPE_TRACE_TOLD {
            let bytes = (&raw const (*trace).text).cast::<u8>();
            let text = std::slice::from_raw_parts(bytes, (*trace).len);
            let text = String::from_utf8_lossy(text).into_owned();
            state.store(TROUPE_TRACE_IDLE, Ordering::SeqCst);
            return Some(text).filter(|text| !text.is_empty());
        }
        if at_last {
            state.store(TROUPE_TRACE_IDLE, Ordering::SeqCst);
        }
        None
    }
}
