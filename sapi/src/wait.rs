//! The one interruptible wait of a PHP thread.
//!
//! Every place where our code blocks a PHP thread (next request, request body, response back-pressure, vars,
//! tasks) goes through [`Wait::until`]: a small `block_on` whose condition is a `poll` function. The ports
//! therefore have a single, poll-shaped interface that serves both sides: futures on an I/O thread and PHP
//! threads here.
//!
//! A wait ends by data or close (the condition is ready), by its deadline, by a kill, or, where the caller
//! asks for it, by a drain. Invariant: a wake-up between the poll and the park is never lost, because the
//! waker moves `state` to `NOTIFIED` and the parker goes to sleep only from `EMPTY`.

use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

use crate::sync::{
    AtomicBool, AtomicU8, Ordering, Thread, current_thread, park, park_until, yield_now,
};

const EMPTY: u8 = 0;
const PARKED: u8 = 1;
const NOTIFIED: u8 = 2;

/// How many times an idle thread offers its processor to others before it parks. A hand-off that comes
/// within that time costs no futex call.
const SEARCHES: usize = 3;

/// Why a PHP script is being ended from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum KillReason {
    /// The request's wall-clock deadline passed.
    Deadline = 1,
    /// The worker or the server stops and the grace period is over.
    Stop = 2,
    /// An operator asked for it.
    Operator = 3,
    /// The worker's script has booted for too long.
    Boot = 4,
}

impl KillReason {
    fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Deadline),
            2 => Some(Self::Stop),
            3 => Some(Self::Operator),
            4 => Some(Self::Boot),
            _ => None,
        }
    }
}

/// Why a wait ended without what it waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interrupted {
    /// The deadline given to the wait passed.
    Deadline,
    /// The running script is being killed.
    Killed(KillReason),
    /// The thread is asked to leave at the next safe point.
    Draining,
}

/// Which requests to leave end a wait early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heed {
    /// Only a kill: the thread is in the middle of something.
    Kill,
    /// A drain too: the thread is between two pieces of work.
    Drain,
}

/// The part of a wait that other threads touch: waker, kill and drain flags.
pub(crate) struct Parker {
    state: AtomicU8,
    kill: AtomicU8,
    draining: AtomicBool,
    thread: Thread,
}

impl Parker {
    pub(crate) fn kill(&self, reason: KillReason) {
        self.kill.store(reason as u8, Ordering::SeqCst);
        self.notify();
    }

    pub(crate) fn forgive(&self) {
        self.kill.store(0, Ordering::SeqCst);
    }

    pub(crate) fn killed(&self) -> Option<KillReason> {
        KillReason::from_code(self.kill.load(Ordering::SeqCst))
    }

    pub(crate) fn set_draining(&self, draining: bool) {
        self.draining.store(draining, Ordering::SeqCst);
        if draining {
            self.notify();
        }
    }

    pub(crate) fn draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }

    fn notify(&self) {
        if self.state.swap(NOTIFIED, Ordering::SeqCst) == PARKED {
            self.thread.unpark();
        }
    }

    fn take_notice(&self) -> bool {
        self.state
            .compare_exchange(NOTIFIED, EMPTY, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok()
    }

    /// Sleeps until notified or until the deadline; may return early.
    fn park(&self, deadline: Option<Instant>) {
        for _ in 0..SEARCHES {
            if self.take_notice() {
                return;
            }
            yield_now();
        }
        if self
            .state
            .compare_exchange(EMPTY, PARKED, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok()
        {
            match deadline {
                None => park(),
                Some(deadline) => park_until(deadline),
            }
        }
        // May overwrite a notice, which is no loss: the next poll comes after it and sees what it was about.
        self.state.store(EMPTY, Ordering::SeqCst);
    }
}

impl Wake for Parker {
    fn wake(self: Arc<Self>) {
        self.notify();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.notify();
    }
}

/// The waiting side, owned by one PHP thread.
pub struct Wait {
    parker: Arc<Parker>,
    waker: Waker,
}

impl Wait {
    /// A wait for the calling thread. It must not be used on another one: it would park the wrong thread.
    pub fn for_this_thread() -> Self {
        let parker = Arc::new(Parker {
            state: AtomicU8::new(EMPTY),
            kill: AtomicU8::new(0),
            draining: AtomicBool::new(false),
            thread: current_thread(),
        });
        Self {
            waker: Waker::from(parker.clone()),
            parker,
        }
    }

    pub(crate) fn parker(&self) -> Arc<Parker> {
        self.parker.clone()
    }

    /// True once the thread was asked to leave at the next safe point.
    pub fn draining(&self) -> bool {
        self.parker.draining()
    }

    /// Why the running script is being killed, if it is.
    pub fn killed(&self) -> Option<KillReason> {
        self.parker.killed()
    }

    /// Blocks until `poll` is ready. What is ready wins over a kill, a drain and a deadline that came at the
    /// same time, so nothing that was handed over is dropped.
    pub fn until<T>(
        &self,
        heed: Heed,
        deadline: Option<Instant>,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Result<T, Interrupted> {
        let mut cx = Context::from_waker(&self.waker);
        loop {
            if let Poll::Ready(value) = poll(&mut cx) {
                return Ok(value);
            }
            if let Some(reason) = self.parker.killed() {
                return Err(Interrupted::Killed(reason));
            }
            if heed == Heed::Drain && self.parker.draining() {
                return Err(Interrupted::Draining);
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Err(Interrupted::Deadline);
            }
            self.parker.park(deadline);
        }
    }
}
