//! What other threads may know of a PHP thread and do to it.
//!
//! The lock in [`Shared`] is the kill slot's: the pointer into PHP's memory is used only under it, and the
//! thread clears it under it before that memory goes. `generation` names the piece of work (a request, or the
//! run around it); a kill that was meant for one never hits the next: what ends takes its kill along, and no
//! request begins in a script that is being killed.

mod backtrace;
#[cfg(all(test, not(loom)))]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use php_sys::{
    TROUPE_ASKED_BACKTRACE, TROUPE_ASKED_KILL_BOOT, TROUPE_ASKED_KILL_DEADLINE,
    TROUPE_ASKED_KILL_OPERATOR, TROUPE_ASKED_KILL_STOP, troupe_slot, troupe_trace,
};

use crate::response::ResponseBreaker;
use crate::sync::{Mutex, lock};
use crate::wait::{KillReason, Parker};
use crate::watchdog::Watchdog;

/// Between two attempts to break a blocking call of a script that is being killed.
const KICK_AGAIN: Duration = Duration::from_millis(100);

/// What a thread is busy with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Activity {
    /// PHP sets its thread context up.
    #[default]
    Starting,
    /// Between two runs.
    Idle,
    /// A worker script runs: boots, or waits for a request, or is a background worker.
    Script,
    /// A request is being served.
    Request {
        /// The request's id.
        id: u64,
        /// Its method.
        method: String,
        /// Its URI.
        uri: String,
    },
    /// The thread is gone.
    Ended,
}

/// What a request is called, in its own memory: nobody copies it unless somebody looks.
#[derive(Clone, Copy)]
pub(crate) struct Title {
    pub(crate) id: u64,
    pub(crate) method: *const [u8],
    pub(crate) uri: *const [u8],
}

// SAFETY: the pointers are only used under the lock of `Shared::state`, while the request is the thread's activity
// and its memory therefore there.
unsafe impl Send for Title {}

/// An [`Activity`] as its thread notes it.
#[derive(Clone, Copy)]
pub(crate) enum Doing {
    Starting,
    Idle,
    Script,
    Request(Title),
    Ended,
}

/// A look at a thread.
#[derive(Debug, Clone)]
pub struct Status {
    /// What it does.
    pub activity: Activity,
    /// Since when.
    pub since: Instant,
    /// Counts pieces of work; a kill can be aimed at one.
    pub generation: u64,
    /// Requests served so far.
    pub served: u64,
    /// Bytes PHP used at the end of the last request.
    pub memory: usize,
    /// The kill that is under way.
    pub killed: Option<(KillReason, Instant)>,
}

/// Who is told when a thread needs a look: nobody else asks a thread that does well.
pub struct Lookout {
    /// A request that takes so long is slow.
    pub slow_after: Option<Duration>,
    /// What was killed and still runs then is stuck.
    pub stuck_after: Duration,
    /// Called by the watchdog, once for each of them. It must not wait.
    pub look: Arc<dyn Fn() + Send + Sync>,
}

struct Target {
    vm_interrupt: *const AtomicBool,
    killed: *const AtomicBool,
    catches_stop: *const AtomicBool,
    stop_signalled: *const AtomicBool,
    limit_passed: *const AtomicBool,
    trace: *const troupe_trace,
    thread: libc::pthread_t,
}

// SAFETY: the pointers are only used under the lock of `Shared::state`, while the PHP thread that owns the
// memory has not yet cleared it there.
unsafe impl Send for Target {}

struct State {
    target: Option<Target>,
    doing: Doing,
    since: Instant,
    generation: u64,
    served: u64,
    memory: usize,
    deadline: Option<Instant>,
    /// When the script's own time limit passes.
    limit: Option<Instant>,
    killed: Option<(KillReason, Instant)>,
    next_kick: Option<Instant>,
    lookout: Option<Lookout>,
    /// When the request will be slow.
    slow_at: Option<Instant>,
    /// When the thread that is being killed will be stuck.
    stuck_at: Option<Instant>,
    backtrace_to: Option<SyncSender<String>>,
    hold: Option<Arc<dyn Hold>>,
    response: Option<ResponseBreaker>,
}

/// What a background worker's script holds beside its thread, for those who end it from outside.
pub(crate) trait Hold: Send + Sync {
    /// The script shall leave.
    fn drain(&self);
    /// It is given no more work from now on, unless it has some in hand; false when it has.
    fn retire(&self) -> bool;
    /// Since when it has had no work in hand.
    fn idle_since(&self) -> Option<Instant>;
    /// Its thread was given up.
    fn lose(&self);
}

impl State {
    fn activity(&self) -> Activity {
        let text = |text: *const [u8]| {
            // SAFETY: `Shared::begin_request` was promised that the request is there while it is what the thread
            // does, which only changes under the lock this state is behind.
            String::from_utf8_lossy(unsafe { &*text }).into_owned()
        };
        match self.doing {
            Doing::Starting => Activity::Starting,
            Doing::Idle => Activity::Idle,
            Doing::Script => Activity::Script,
            Doing::Request(Title { id, method, uri }) => Activity::Request {
                id,
                method: text(method),
                uri: text(uri),
            },
            Doing::Ended => Activity::Ended,
        }
    }

    /// When the watchdog shall look next.
    fn due(&self) -> Option<Instant> {
        [
            self.deadline,
            self.limit,
            self.next_kick,
            self.slow_at,
            self.stuck_at,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn is_busy(&self) -> bool {
        matches!(self.doing, Doing::Script | Doing::Request(_))
    }

    /// A limit that has just passed is lifted with the rest: what was meant for the script before does not reach
    /// the next one.
    fn set_limit(&mut self, limit: Option<Instant>) {
        self.limit = limit;
        if self.killed.is_none() {
            self.next_kick = None;
        }
        self.mark_limit_passed(false);
    }

    fn mark_limit_passed(&self, passed: bool) {
        if let Some(target) = &self.target {
            // SAFETY: as in `mark_killed`.
            unsafe { (*target.limit_passed).store(passed, Ordering::SeqCst) };
        }
    }

    /// Has PHP call the interrupt handler at the next jump, or when the call that it is in returns.
    fn interrupt(&self) {
        if let Some(target) = &self.target {
            // SAFETY: `target` is cleared under the lock this state is behind before the PHP thread frees its
            // context, so the flag is alive. EG(vm_interrupt) is an atomic bool in PHP 8.2 and later.
            unsafe { (*target.vm_interrupt).store(true, Ordering::SeqCst) };
        }
    }

    /// Tells the shim whether the thread's blocking calls are to be refused.
    fn mark_killed(&self, killed: bool) {
        if let Some(target) = &self.target {
            // SAFETY: `target` is cleared under the lock this state is behind before the shim's side of the
            // thread ends, so the flag is alive; it is an atomic bool on the C side.
            unsafe { (*target.killed).store(killed, Ordering::SeqCst) };
        }
    }

    /// Has the script's handler for SIGTERM or SIGINT called on its thread, if there is one.
    fn signal_stop(&self) {
        if let Some(target) = &self.target {
            // SAFETY: as in `mark_killed`; the thread is alive for as long.
            unsafe {
                if (*target.catches_stop).load(Ordering::SeqCst) {
                    (*target.stop_signalled).store(true, Ordering::SeqCst);
                    libc::pthread_kill(target.thread, php_sys::troupe_kill_signal());
                }
            }
        }
    }
}

/// The part of a PHP thread that outlives its locks: shared by the thread, its control and the watchdog.
pub(crate) struct Shared {
    parker: Arc<Parker>,
    asked: AtomicU32,
    state: Mutex<State>,
    /// Held by whoever looks at the thread's stack.
    looking: std::sync::Mutex<()>,
    watchdog: Arc<Watchdog>,
}

impl Shared {
    pub(crate) fn new(parker: Arc<Parker>, watchdog: Arc<Watchdog>) -> Self {
        let state = State {
            target: None,
            doing: Doing::Starting,
            since: Instant::now(),
            generation: 0,
            served: 0,
            memory: 0,
            deadline: None,
            limit: None,
            killed: None,
            next_kick: None,
            lookout: None,
            slow_at: None,
            stuck_at: None,
            backtrace_to: None,
            hold: None,
            response: None,
        };
        Self {
            parker,
            asked: AtomicU32::new(0),
            state: Mutex::new(state),
            looking: std::sync::Mutex::default(),
            watchdog,
        }
    }

    /// The PHP thread's context is up: it can be reached from now on.
    pub(crate) fn attach(&self, slot: troupe_slot) {
        let mut state = lock(&self.state);
        let flag = |flag: *mut bool| flag.cast_const().cast::<AtomicBool>();
        state.target = Some(Target {
            vm_interrupt: flag(slot.vm_interrupt),
            killed: flag(slot.killed),
            catches_stop: flag(slot.catches_stop),
            stop_signalled: flag(slot.stop_signalled),
            limit_passed: flag(slot.limit_passed),
            trace: slot.trace,
            thread: slot.thread as libc::pthread_t,
        });
        Self::enter(&mut state, Doing::Idle, Instant::now());
    }

    /// The PHP thread's context is about to go.
    pub(crate) fn detach(&self) {
        let mut state = lock(&self.state);
        state.target = None;
        state.backtrace_to = None;
        Self::enter(&mut state, Doing::Ended, Instant::now());
    }

    fn enter(state: &mut State, doing: Doing, now: Instant) {
        state.generation += 1;
        state.doing = doing;
        state.since = now;
        state.deadline = None;
        state.slow_at = None;
        state.set_limit(None);
    }

    /// The script has so much time.
    pub(crate) fn limit(&self, limit: Option<Duration>, from: Instant) {
        // Beyond that nobody waits, and the sum might be no instant any more.
        const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
        let limit = limit.map(|limit| from + limit.min(LONGEST));
        lock(&self.state).set_limit(limit);
        if let Some(limit) = limit {
            self.watchdog.arm(limit);
        }
    }

    /// A script begins.
    pub(crate) fn begin_script(&self, now: Instant) {
        Self::enter(&mut lock(&self.state), Doing::Script, now);
    }

    /// A request begins. False while the script around it is being killed: it must not begin then, or the kill
    /// would hit it.
    ///
    /// # Safety
    /// What the title points to is there until [`end`](Self::end) or [`step_back`](Self::step_back) was called.
    pub(crate) unsafe fn begin_request(
        &self,
        title: Title,
        now: Instant,
        deadline: Option<Duration>,
        response: ResponseBreaker,
    ) -> bool {
        let due = {
            let mut state = lock(&self.state);
            if state.killed.is_some() {
                return false;
            }
            Self::enter(&mut state, Doing::Request(title), now);
            state.response = Some(response);
            state.deadline = deadline.map(|deadline| now + deadline);
            let slow_after = state.lookout.as_ref().and_then(|one| one.slow_after);
            state.slow_at = slow_after.map(|slow| now + slow);
            state.due()
        };
        if let Some(due) = due {
            self.watchdog.arm(due);
        }
        true
    }

    /// The request that began has no client: the thread is back at what it did. A kill meanwhile goes on.
    pub(crate) fn step_back(&self, to: Doing, now: Instant) {
        let mut state = lock(&self.state);
        Self::enter(&mut state, to, now);
        state.response = None;
    }

    /// A piece of work ended; the thread goes back to something else. A kill that was under way has done its work.
    pub(crate) fn end(
        &self,
        to: Doing,
        now: Instant,
        served: bool,
        memory: Option<usize>,
    ) -> Option<KillReason> {
        let mut state = lock(&self.state);
        Self::enter(&mut state, to, now);
        state.served += u64::from(served);
        state.memory = memory.unwrap_or(state.memory);
        state.next_kick = None;
        state.stuck_at = None;
        state.response = None;
        if matches!(to, Doing::Idle) {
            state.hold = None;
        }
        self.parker.forgive();
        self.asked.store(0, Ordering::SeqCst);
        state.mark_killed(false);
        state.killed.take().map(|(reason, _)| reason)
    }

    pub(crate) fn killed(&self) -> Option<KillReason> {
        self.parker.killed()
    }

    /// What the interrupt handler shall do. The wish for a backtrace is taken, a kill stays until it worked.
    pub(crate) fn asked(&self) -> u32 {
        self.asked
            .fetch_and(!TROUPE_ASKED_BACKTRACE, Ordering::SeqCst)
    }

    pub(crate) fn answer_backtrace(&self, text: String) {
        if let Some(asker) = lock(&self.state).backtrace_to.take() {
            // The asker may have stopped waiting.
            let _ = asker.try_send(text);
        }
    }

    /// What the script holds until its run ends. A drain that is under way reaches it at once.
    pub(crate) fn hold(&self, hold: Arc<dyn Hold>) {
        lock(&self.state).hold = Some(hold.clone());
        if self.parker.draining() {
            hold.drain();
        }
    }

    fn kick(&self, state: &mut State) {
        state.interrupt();
        if let Some(target) = &state.target {
            // SAFETY: `target` is cleared under this lock before the PHP thread ends, so the thread is alive.
            unsafe { libc::pthread_kill(target.thread, php_sys::troupe_kill_signal()) };
        }
    }

    /// First PHP is told, and only then whatever the script may be waiting in: a call that comes back early
    /// must find the interrupt pending, or the script goes on behind it, and may say that all is well.
    fn kill(&self, state: &mut State, reason: KillReason, now: Instant) {
        let bit = match reason {
            KillReason::Deadline => TROUPE_ASKED_KILL_DEADLINE,
            KillReason::Stop => TROUPE_ASKED_KILL_STOP,
            KillReason::Operator => TROUPE_ASKED_KILL_OPERATOR,
            KillReason::Boot => TROUPE_ASKED_KILL_BOOT,
        };
        self.asked.fetch_or(bit, Ordering::SeqCst);
        if state.killed.is_none() {
            state.killed = Some((reason, now));
            let lookout = state.lookout.as_ref();
            state.stuck_at = lookout.map(|lookout| now + lookout.stuck_after);
        }
        state.next_kick = Some(now + KICK_AGAIN);
        state.interrupt();
        state.mark_killed(true);
        self.parker.kill(reason);
        self.kick(state);
    }

    /// The watchdog's look: acts on what is due and says when to look again.
    pub(crate) fn tend(&self, now: Instant) -> Option<Instant> {
        let mut state = lock(&self.state);
        if state.deadline.is_some_and(|deadline| deadline <= now) {
            state.deadline = None;
            self.kill(&mut state, KillReason::Deadline, now);
        } else if state.limit.is_some_and(|limit| limit <= now) {
            state.limit = None;
            state.next_kick = Some(now + KICK_AGAIN);
            state.mark_limit_passed(true);
            self.kick(&mut state);
        } else if state.next_kick.is_some_and(|kick| kick <= now) {
            state.next_kick = Some(now + KICK_AGAIN);
            self.kick(&mut state);
        }
        let is_slow = state.slow_at.take_if(|at| *at <= now).is_some();
        let is_stuck = state.stuck_at.take_if(|at| *at <= now).is_some();
        let lookout = state.lookout.as_ref().filter(|_| is_slow || is_stuck);
        let look = lookout.map(|lookout| lookout.look.clone());
        let due = state.due();
        drop(state);
        if let Some(look) = look {
            look();
        }
        due
    }
}

/// A handle to a PHP thread for those who own or watch it.
#[derive(Clone)]
pub struct ThreadControl {
    pub(crate) shared: Arc<Shared>,
}

impl ThreadControl {
    /// A look at the thread now.
    pub fn status(&self) -> Status {
        let state = lock(&self.shared.state);
        Status {
            activity: state.activity(),
            since: state.since,
            generation: state.generation,
            served: state.served,
            memory: state.memory,
            killed: state.killed,
        }
    }

    /// Has `lookout` told from the next piece of work on.
    pub fn watch(&self, lookout: Lookout) {
        lock(&self.shared.state).lookout = Some(lookout);
    }

    /// Ends what the thread runs: in our own waits, in PHP code and in most blocking calls. With a
    /// `generation`, only while that piece of work is still the current one. False when there was nothing to
    /// end.
    pub fn kill(&self, reason: KillReason, generation: Option<u64>) -> bool {
        let now = Instant::now();
        let due = {
            let mut state = lock(&self.shared.state);
            if !state.is_busy()
                || generation.is_some_and(|generation| generation != state.generation)
            {
                return false;
            }
            self.shared.kill(&mut state, reason, now);
            state.due()
        };
        if let Some(due) = due {
            self.shared.watchdog.arm(due);
        }
        true
    }

    /// Asks the thread to leave at the next safe point: between two requests or runs. A script that has set up
    /// a handler for SIGTERM or SIGINT gets it called.
    pub fn drain(&self) {
        self.shared.parker.set_draining(true);
        let hold = {
            let state = lock(&self.shared.state);
            state.signal_stop();
            state.hold.clone()
        };
        hold.inspect(|hold| hold.drain());
    }

    /// Gives a background worker's script no more tasks, unless it has one in hand or is not ready: a `drain`
    /// follows.
    pub fn retire(&self) -> bool {
        let hold = lock(&self.shared.state).hold.clone();
        hold.is_some_and(|hold| hold.retire())
    }

    /// Since when a background worker's script has been ready without a task in hand, as far as it was looked at.
    pub fn idle_since(&self) -> Option<Instant> {
        let hold = lock(&self.shared.state).hold.clone();
        hold.and_then(|hold| hold.idle_since())
    }

    /// Gives the thread up: it was killed and did not come back. Its client and the senders of the tasks it
    /// holds are told at once; should it come back after all, it has no more say in either.
    pub fn write_off(&self) {
        let (response, hold) = {
            let mut state = lock(&self.shared.state);
            (state.response.take(), state.hold.take())
        };
        if let Some(response) = response {
            response.give_up();
        }
        if let Some(hold) = hold {
            hold.lose();
        }
    }

    /// Takes a [`drain`](Self::drain) back.
    pub fn resume(&self) {
        self.shared.parker.set_draining(false);
    }
}
