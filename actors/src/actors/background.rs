//! The driver of a background worker's thread.
//!
//! The script runs until it leaves by itself, or is told to by its signaling stream; so this driver only starts
//! it, as its worker orders, and reports its end.

use std::sync::Arc;
use std::time::Instant;

use troupe_sapi::{
    BackgroundPort, Driver, Life, Request, RequestEnd, Run, Scope, ScriptEnd, Wait, WorkerKind,
};

use super::reins::{Course, Reins};
use super::spec::Work;

pub struct BackgroundDriver {
    reins: Reins,
    port: Arc<BackgroundPort>,
    scope: Arc<dyn Scope>,
    /// The run of the script that is on.
    life: Option<Life>,
    ready: Option<Instant>,
}

impl BackgroundDriver {
    pub fn new(reins: Reins, port: Arc<BackgroundPort>, scope: Arc<dyn Scope>) -> Self {
        Self {
            reins,
            port,
            scope,
            life: None,
            ready: None,
        }
    }
}

impl Driver for BackgroundDriver {
    fn next_run(&mut self, wait: &Wait) -> Option<Run> {
        let Work::Background(script) = &self.reins.spec().work else {
            return None;
        };
        let mut run = script.run(WorkerKind::Background);
        run.scope = Some(self.scope.clone());
        self.ready = None;
        if !self.reins.await_order(wait) {
            return None;
        }
        let life = self.port.vars.begin_life();
        self.life = Some(life);
        run.background = Some((self.port.clone(), life));
        Some(Run::Script(run))
    }

    /// Background scripts have no requests.
    fn next_request(&mut self, _: &Wait) -> Option<Box<Request>> {
        None
    }

    fn put_back(&mut self, _: Box<Request>) {}

    fn script_ready(&mut self) {
        self.ready = Some(Instant::now());
        self.reins.ready();
    }

    fn request_ended(&mut self, _: RequestEnd) {}

    fn opcache_was_reset(&mut self) {
        self.reins.opcache_was_reset();
    }

    fn run_ended(&mut self, end: ScriptEnd) {
        let course = Course {
            ready: self.ready.take(),
            served: 0,
            limit: None,
        };
        let restarts = self.reins.run_ended(end, course).restarts_on_purpose;
        if let (true, Some(life)) = (restarts, self.life.take()) {
            // Readers wait for the next life. A thread that is merely no longer needed, and a crash, leave behind
            // what they published.
            self.port.vars.discard(life);
        }
    }
}
