//! What every driver has in hand: the orders of its worker, and how to report to it.
//!
//! The two drivers (`driver`, `background`) differ in what their threads do between two orders; how a run is
//! ordered, and what its end means, is the same.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use actix::{Message, Recipient};
use tokio::sync::mpsc::UnboundedReceiver;
use troupe_sapi::{Heed, KillReason, ScriptEnd, ScriptExit, Wait};

use super::census::{Census, Counted};
use super::spec::PoolSpec;
use crate::supervision::{BootLimit, Cause, Detail, Exit, Strategy, Verdict};

/// From the worker to its thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThreadOrder {
    /// Run the script.
    Run,
    /// Let the script end and wait for another `Run`.
    Leave,
    /// Let the script end, and the thread with it. Where the pool takes no more requests, serve those that
    /// wait first.
    Quit,
}

/// From the thread to its worker.
#[derive(Debug)]
pub enum Report {
    /// The script (or, in classic mode, the thread) is ready.
    Ready,
    /// The script ended and is being started again.
    Relaunched(Exit),
    /// The script ended; the thread waits for an order.
    Ended(Exit),
    /// The script called `opcache_reset()`.
    OpcacheReset,
    /// The thread's PHP context is gone. In classic mode with the limit that was reached, if that is why.
    Gone(Option<Detail>),
}

/// A report on its way; counted until it is read, or dropped with the mailbox of a worker that is gone.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Letter {
    pub report: Report,
    _unread: Counted,
}

/// The thread's way to report.
pub struct Reports {
    recipient: Recipient<Letter>,
    census: Census,
}

impl Reports {
    pub fn new(recipient: Recipient<Letter>, census: Census) -> Self {
        Self { recipient, census }
    }

    /// Reports to a worker that need not be there any more.
    fn send(&self, report: Report) {
        let _unread = self.census.report();
        self.recipient.do_send(Letter { report, _unread });
    }
}

/// Shared by a thread and its worker: the worker leaves the count of a thread that it gave up here, and the
/// thread takes it away should it end after all.
#[derive(Clone, Default)]
pub struct Ticket(Arc<Mutex<Option<Counted>>>);

impl Ticket {
    pub fn mark_lost(&self, counted: Counted) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(counted);
    }

    fn take(&self) -> Option<Counted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// How one run of a script went, as far as its driver knows.
pub struct Course {
    /// When it was ready.
    pub ready: Option<Instant>,
    /// Requests it served.
    pub served: u64,
    /// Why it was left by a limit of its own.
    pub limit: Option<Detail>,
}

pub struct Reins {
    spec: Arc<PoolSpec>,
    orders: UnboundedReceiver<ThreadOrder>,
    reports: Reports,
    /// A script runs or is about to.
    run_ordered: bool,
    leave_ordered: bool,
    quit_ordered: bool,
    /// Why the thread ends, where that is for the thread to say.
    farewell: Option<Detail>,
    ticket: Ticket,
    _counted: Counted,
}

impl Reins {
    pub fn new(
        spec: Arc<PoolSpec>,
        orders: UnboundedReceiver<ThreadOrder>,
        reports: Reports,
        ticket: Ticket,
        counted: Counted,
    ) -> Self {
        Self {
            spec,
            orders,
            reports,
            run_ordered: false,
            leave_ordered: false,
            quit_ordered: false,
            farewell: None,
            ticket,
            _counted: counted,
        }
    }

    pub fn spec(&self) -> &PoolSpec {
        &self.spec
    }

    /// Takes in the worker's orders; the thread is woken by the next one.
    pub fn read_orders(&mut self, cx: &mut Context<'_>) {
        while let Poll::Ready(order) = self.orders.poll_recv(cx) {
            match order {
                Some(ThreadOrder::Run) => {
                    self.run_ordered = true;
                    // An earlier `Leave` was for a script that had already ended by itself.
                    self.leave_ordered = false;
                }
                Some(ThreadOrder::Leave) => self.leave_ordered = true,
                Some(ThreadOrder::Quit) => self.quit_ordered = true,
                // The worker is gone.
                None => {
                    self.quit_ordered = true;
                    break;
                }
            }
        }
    }

    pub fn leave_ordered(&self) -> bool {
        self.leave_ordered
    }

    pub fn quit_ordered(&self) -> bool {
        self.quit_ordered
    }

    /// Waits for the order to run. `false` ends the thread.
    pub fn await_order(&mut self, wait: &Wait) -> bool {
        let ordered = wait.until(Heed::Kill, None, |cx| {
            self.read_orders(cx);
            if self.quit_ordered {
                return Poll::Ready(false);
            }
            if self.run_ordered && self.leave_ordered {
                // The order to leave met a script that was just being started again.
                self.run_ordered = false;
                let detail = Detail::reason("stopped");
                let exit = Exit {
                    cause: Cause::Recycled,
                    was_ready: false,
                    served: 0,
                    detail,
                };
                self.reports.send(Report::Ended(exit));
            }
            if self.run_ordered {
                Poll::Ready(true)
            } else {
                Poll::Pending
            }
        });
        // Nothing runs that could be killed. Should it happen all the same, the worker replaces the thread.
        ordered.unwrap_or(false)
    }

    pub fn ready(&self) {
        self.reports.send(Report::Ready);
    }

    pub fn opcache_was_reset(&self) {
        self.reports.send(Report::OpcacheReset);
    }

    /// The thread ends because of a limit of its own.
    pub fn bid_farewell(&mut self, limit: Option<Detail>) {
        self.farewell = limit;
    }

    /// Reports the end of a run: started again at once by rule, or left to the worker. Returns the exit as it
    /// was reported, for the driver's own bookkeeping.
    pub fn run_ended(&mut self, end: ScriptEnd, course: Course) -> Ended {
        // Orders may have come while the script ran, and the next wait may be far.
        self.read_orders(&mut Context::from_waker(Waker::noop()));
        let asked = self.leave_ordered || self.quit_ordered;
        let boot = self.spec.worker.boot;
        let exit = exit_of(end, course.limit, asked, course.served, boot);
        let ended = Ended {
            was_ready: exit.was_ready,
            restarts_on_purpose: self.leave_ordered,
        };
        let uptime = course
            .ready
            .map(|ready| ready.elapsed())
            .unwrap_or_default();
        let verdict = self.spec.worker.verdict(&exit, uptime);
        let alone = self.spec.policy.strategy == Strategy::OneForOne;
        if verdict == Verdict::AtOnce && alone && exit.was_ready && !asked {
            self.reports.send(Report::Relaunched(exit));
        } else {
            self.run_ordered = false;
            self.reports.send(Report::Ended(exit));
        }
        ended
    }
}

/// What the end of a run was.
pub struct Ended {
    /// The script had been ready.
    pub was_ready: bool,
    /// It was asked to leave and is to be started anew, however well it left.
    pub restarts_on_purpose: bool,
}

impl Drop for Reins {
    fn drop(&mut self) {
        self.reports.send(Report::Gone(self.farewell.take()));
        if self.ticket.take().is_some() {
            tracing::info!("a PHP thread that had been written off has ended after all");
        }
    }
}

/// What the end of a script means. A script that leaves its loop as asked and then returns or exits was
/// recycled; whatever else happens on its way out is what it is.
fn exit_of(
    end: ScriptEnd,
    leaving: Option<Detail>,
    asked: bool,
    served: u64,
    boot: BootLimit,
) -> Exit {
    let went_well = matches!(
        end.exit,
        ScriptExit::Returned | ScriptExit::Exited { status: 0 }
    );
    let (cause, detail) = match (end.exit, leaving) {
        (_, Some(limit)) if went_well => (Cause::Recycled, limit),
        (_, None) if went_well && asked => (Cause::Recycled, Detail::reason("stopped")),
        (ScriptExit::Returned, _) => (Cause::Normal, Detail::reason("returned")),
        (ScriptExit::Exited { status: 0 }, _) => (Cause::Normal, Detail::reason("exited")),
        (ScriptExit::Exited { status }, _) => (
            Cause::Abnormal,
            Detail::message("exited", format!("exit status {status}")),
        ),
        (ScriptExit::Failed(failure), _) => {
            let detail = Detail {
                reason: "fatal_error",
                message: Some(failure.message),
                file: Some(failure.file),
                line: Some(failure.line),
            };
            (Cause::Abnormal, detail)
        }
        (ScriptExit::Killed(reason), _) => (Cause::Abnormal, killed(reason, boot)),
        (ScriptExit::NotBegun, _) => (
            Cause::Abnormal,
            Detail::message("not_begun", "PHP could not set the script up"),
        ),
    };
    Exit {
        cause,
        was_ready: end.was_ready,
        served,
        detail,
    }
}

fn killed(reason: KillReason, boot: BootLimit) -> Detail {
    match reason {
        KillReason::Deadline => Detail::reason("deadline"),
        KillReason::Stop => Detail::reason("forced"),
        KillReason::Operator => Detail::reason("killed"),
        KillReason::Boot => boot.passed(),
    }
}
