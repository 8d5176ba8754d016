//! The driver of a classic thread or an HTTP worker: takes requests from the pool's queue, obeys the worker's
//! orders between them, and reports.
//!
//! Nothing here waits for an actor while there is work. What can be decided by data the thread has (the limits
//! of this start, the verdict on an exit) is decided here and reported; what can't (a restart after a failed
//! boot) waits in [`Driver::next_run`] for an order.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use troupe_sapi::{
    Driver, Heed, Interrupted, Request, RequestEnd, Run, Scope, ScriptEnd, Seat, Wait, WorkerKind,
};

use super::port::PoolPort;
use super::reins::{Course, Reins};
use super::spec::{PoolSpec, Work};
use crate::supervision::{Detail, Recycle, RecycleLimits};

/// How soon a worker that is due for recycling asks again while others are being recycled.
const ASK_AGAIN: Duration = Duration::from_secs(1);

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
        // Nobody looks at the clock for a limit that there is not.
        let age = self.limits.ttl().map(|_| self.started.elapsed());
        self.limits
            .reached(self.served, age.unwrap_or_default(), self.memory)
    }
}

pub struct HttpDriver {
    reins: Reins,
    port: PoolPort,
    scope: Option<Arc<dyn Scope>>,
    recycling: Arc<Semaphore>,
    seat: Seat<Box<Request>>,
    life: Life,
    /// Held from the decision to recycle until the next start is ready.
    permit: Option<OwnedSemaphorePermit>,
}

impl HttpDriver {
    pub fn new(
        reins: Reins,
        port: PoolPort,
        scope: Option<Arc<dyn Scope>>,
        recycling: Arc<Semaphore>,
    ) -> Self {
        Self {
            seat: port.seat(),
            life: Life::new(reins.spec()),
            reins,
            port,
            scope,
            recycling,
            permit: None,
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
        if job.is_none() {
            self.seat.rest();
        }
        job
    }

    fn poll_job(&mut self, cx: &mut Context<'_>) -> Poll<Option<Box<Request>>> {
        self.reins.read_orders(cx);
        if self.reins.leave_ordered() || (self.reins.quit_ordered() && self.port.is_open()) {
            return Poll::Ready(None);
        }
        match self.seat.poll_pop(cx) {
            // Nobody hands anything over any more, and nothing is left.
            Poll::Pending if self.reins.quit_ordered() => Poll::Ready(None),
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
            self.permit = self.recycling.clone().try_acquire_owned().ok();
        }
        self.permit.is_some()
    }
}

impl Driver for HttpDriver {
    fn next_run(&mut self, wait: &Wait) -> Option<Run> {
        let Work::Http(script) = &self.reins.spec().work else {
            if self.life.ready.is_none() {
                self.script_ready();
            }
            return self.next_job(wait).map(Run::Request);
        };
        let script = script.clone();
        if !self.reins.await_order(wait) {
            return None;
        }
        self.life = Life::new(self.reins.spec());
        let mut run = script.run(WorkerKind::Http);
        run.scope.clone_from(&self.scope);
        Some(Run::Script(run))
    }

    fn next_request(&mut self, wait: &Wait) -> Option<Box<Request>> {
        let job = self.next_job(wait);
        // Counted when it is taken: the request that ends the script was served too.
        self.life.served += u64::from(job.is_some());
        job
    }

    fn put_back(&mut self, request: Box<Request>) {
        self.life.served -= u64::from(matches!(self.reins.spec().work, Work::Http(_)));
        self.seat.put_back(request);
    }

    fn request_begins(&mut self, waited: Duration) {
        self.port.stats().wait.record(waited);
    }

    fn script_ready(&mut self) {
        self.life.ready = Some(Instant::now());
        self.permit = None;
        self.reins.ready();
    }

    fn request_ended(&mut self, end: RequestEnd) {
        self.life.memory = end.memory as u64;
        self.port.stats().service.record(end.took);
    }

    fn opcache_was_reset(&mut self) {
        self.reins.opcache_was_reset();
    }

    fn run_ended(&mut self, end: ScriptEnd) {
        if let Work::Classic = self.reins.spec().work {
            self.life.served += 1;
            self.port.stats().service.record(end.uptime);
            return;
        }
        let course = Course {
            ready: self.life.ready,
            served: self.life.served,
            limit: self.life.leaving.take(),
        };
        if !self.reins.run_ended(end, course).was_ready {
            self.permit = None;
        }
    }
}

impl Drop for HttpDriver {
    fn drop(&mut self) {
        if let Work::Classic = self.reins.spec().work {
            self.reins.bid_farewell(self.life.leaving.take());
        }
    }
}
