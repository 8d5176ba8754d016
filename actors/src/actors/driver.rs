//! The worker's arm on its PHP thread: takes requests from the pool's queue, obeys the worker's orders between
//! them, and reports.
//!
//! Nothing here waits for an actor while there is work. What can be decided by data the thread has (the limits
//! of this start, the verdict on an exit) is decided here and reported; what can't (a restart after a failed
//! boot) waits in [`Driver::next_run`] for an order.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use actix::{Message, Recipient};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use troupe_sapi::{
    Driver, Heed, Interrupted, KillReason, Request, RequestEnd, Run, ScriptEnd, ScriptExit, Seat,
    Wait, WorkerKind,
};

use super::census::Counted;
use super::port::PoolPort;
use super::spec::{PoolSpec, Work};
use crate::supervision::{Cause, Detail, Exit, Recycle, RecycleLimits, Strategy, Verdict};

/// How soon a worker that is due for recycling asks again while others are being recycled.
const ASK_AGAIN: Duration = Duration::from_secs(1);

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
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub enum Report {
    /// The script (or, in classic mode, the thread) is ready.
    Ready,
    /// The script called `opcache_reset()`.
    OpcacheReset,
    /// The script ended and is being started again.
    Relaunched(Exit),
    /// The script ended; the thread waits for an order.
    Ended(Exit),
    /// The thread's PHP context is gone. In classic mode with the limit that was reached, if that is why.
    Gone(Option<Detail>),
}

/// What a thread shares with its pool.
#[derive(Clone)]
pub struct Post {
    pub spec: Arc<PoolSpec>,
    pub port: PoolPort,
    /// So many workers may be away for recycling at once.
    pub recycling: Arc<Semaphore>,
}

/// One run of a worker script, or the life of a classic thread.
struct Life {
    started: Instant,
    ready: Option<Instant>,
    served: u64,
    memory: u64,
    limits: RecycleLimits,
    /// Why it is leaving.
    leaving: Option<Detail>,
}

impl Life {
    fn new(spec: &PoolSpec) -> Self {
        Self {
            started: Instant::now(),
            ready: None,
            served: 0,
            memory: 0,
            limits: spec.recycle.draw(&mut fastrand::f64),
            leaving: None,
        }
    }

    fn limit_reached(&self) -> Option<Recycle> {
        self.limits
            .reached(self.served, self.started.elapsed(), self.memory)
    }
}

pub struct HttpDriver {
    post: Post,
    seat: Seat<Box<Request>>,
    orders: UnboundedReceiver<ThreadOrder>,
    reports: Recipient<Report>,
    life: Life,
    /// A script runs or is about to.
    run_ordered: bool,
    leave_ordered: bool,
    quit_ordered: bool,
    /// Held from the decision to recycle until the next start is ready.
    permit: Option<OwnedSemaphorePermit>,
    ticket: Ticket,
    _counted: Counted,
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

impl HttpDriver {
    pub fn new(
        post: Post,
        orders: UnboundedReceiver<ThreadOrder>,
        reports: Recipient<Report>,
        ticket: Ticket,
        counted: Counted,
    ) -> Self {
        Self {
            seat: post.port.seat(),
            life: Life::new(&post.spec),
            post,
            orders,
            reports,
            run_ordered: false,
            leave_ordered: false,
            quit_ordered: false,
            permit: None,
            ticket,
            _counted: counted,
        }
    }

    /// Takes in the worker's orders; the thread is woken by the next one.
    fn read_orders(&mut self, cx: &mut Context<'_>) {
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

    /// The next request, or `None` when it is time to leave.
    fn next_job(&mut self, wait: &Wait) -> Option<Box<Request>> {
        let job = loop {
            if let Some(recycle) = self.life.limit_reached()
                && self.may_recycle()
            {
                self.life.leaving = Some(Detail::reason(recycle.name()));
                break None;
            }
            match wait.until(Heed::Kill, self.look_again_at(), |cx| self.poll_job(cx)) {
                Ok(job) => break job,
                Err(Interrupted::Deadline) => {}
                Err(Interrupted::Killed(_) | Interrupted::Draining) => break None,
            }
        };
        match &job {
            Some(request) => self
                .post
                .port
                .stats()
                .wait
                .record(request.received.elapsed()),
            None => self.seat.rest(),
        }
        job
    }

    fn poll_job(&mut self, cx: &mut Context<'_>) -> Poll<Option<Box<Request>>> {
        self.read_orders(cx);
        if self.leave_ordered || (self.quit_ordered && self.post.port.is_open()) {
            return Poll::Ready(None);
        }
        match self.seat.poll_pop(cx) {
            // Nobody hands anything over any more, and nothing is left.
            Poll::Pending if self.quit_ordered => Poll::Ready(None),
            other => other,
        }
    }

    /// When the time comes to leave by age.
    fn look_again_at(&self) -> Option<Instant> {
        let due = self.life.started + self.life.limits.ttl()?;
        Some(due.max(
            Instant::now()
                + if self.life.limit_reached().is_some() {
                    ASK_AGAIN
                } else {
                    Duration::ZERO
                },
        ))
    }

    fn may_recycle(&mut self) -> bool {
        if self.permit.is_none() {
            self.permit = self.post.recycling.clone().try_acquire_owned().ok();
        }
        self.permit.is_some()
    }

    /// Waits for the order to run. `false` ends the thread.
    fn await_order(&mut self, wait: &Wait) -> bool {
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
                self.reports.do_send(Report::Ended(exit));
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
}

impl Driver for HttpDriver {
    fn next_run(&mut self, wait: &Wait) -> Option<Run> {
        let Work::Http(script) = &self.post.spec.work else {
            if self.life.ready.is_none() {
                self.script_ready();
            }
            return self.next_job(wait).map(Run::Request);
        };
        let script = script.clone();
        if !self.await_order(wait) {
            return None;
        }
        self.life = Life::new(&self.post.spec);
        Some(Run::Script(script.run(WorkerKind::Http)))
    }

    fn next_request(&mut self, wait: &Wait) -> Option<Box<Request>> {
        self.next_job(wait)
    }

    fn script_ready(&mut self) {
        self.life.ready = Some(Instant::now());
        self.permit = None;
        self.reports.do_send(Report::Ready);
    }

    fn request_ended(&mut self, end: RequestEnd) {
        self.life.served += 1;
        self.life.memory = end.memory as u64;
        self.post.port.stats().service.record(end.took);
    }

    fn opcache_was_reset(&mut self) {
        self.reports.do_send(Report::OpcacheReset);
    }

    fn run_ended(&mut self, end: ScriptEnd) {
        if let Work::Classic = self.post.spec.work {
            self.life.served += 1;
            self.post.port.stats().service.record(end.uptime);
            return;
        }
        let asked = self.leave_ordered || self.quit_ordered;
        let exit = exit_of(end, self.life.leaving.take(), asked, self.life.served);
        if !exit.was_ready {
            self.permit = None;
        }
        let uptime = self
            .life
            .ready
            .map(|ready| ready.elapsed())
            .unwrap_or_default();
        let verdict = self.post.spec.worker.verdict(&exit, uptime);
        let alone = self.post.spec.policy.strategy == Strategy::OneForOne;
        if verdict == Verdict::AtOnce && alone && exit.was_ready && !asked {
            self.reports.do_send(Report::Relaunched(exit));
        } else {
            self.run_ordered = false;
            self.reports.do_send(Report::Ended(exit));
        }
    }
}

impl Drop for HttpDriver {
    fn drop(&mut self) {
        let reason = match self.post.spec.work {
            Work::Classic => self.life.leaving.take(),
            Work::Http(_) => None,
        };
        self.reports.do_send(Report::Gone(reason));
        if self.ticket.take().is_some() {
            tracing::info!("a PHP thread that had been written off has ended after all");
        }
    }
}

/// What the end of a script means. A script that leaves its loop as asked and then returns or exits was
/// recycled; whatever else happens on its way out is what it is.
fn exit_of(end: ScriptEnd, leaving: Option<Detail>, asked: bool, served: u64) -> Exit {
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
        (ScriptExit::Killed(reason), _) => (Cause::Abnormal, Detail::reason(killed(reason))),
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

fn killed(reason: KillReason) -> &'static str {
    match reason {
        KillReason::Deadline => "deadline",
        KillReason::Stop => "forced",
        KillReason::Operator => "killed",
    }
}
