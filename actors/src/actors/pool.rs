//! A pool: the supervisor of PHP threads that do the same, behind one front door.
//!
//! It keeps as many workers as its load asks for, restarts them one at a time when asked to, and shuts its door
//! while it can't serve. The door outlives it: escalated, it is started again by its site, and the door opens
//! when the first worker is ready.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use actix::{Actor, ActorContext, Addr, AsyncContext, Context, Handler, SpawnHandle};
use tokio::sync::Semaphore;
use troupe_sapi::{Activity, Head, Request};

use super::brood::{Brood, Ending, Heard, Offspring};
use super::door::{Door, Post};
use super::guard;
use super::kin::{Birth, House, Link, Order, Said, Word, Words};
use super::port::{Outage, Pressed};
use super::spec::{PoolSpec, Work};
use super::steer::{Action, Reply, Steer, SteerError};
use super::worker::Worker;
use crate::supervision::{
    Cause, ChildId, ChildSpec, Detail, Exit, Leave, Load, Phase, Progress, Rolling, Scale, Scaler,
};
use crate::tree::{Kind, Live, Queue};

pub struct Pool {
    post: Post,
    words: Words,
    brood: Brood,
    house: House,
    /// Those that run or are to run.
    workers: BTreeSet<ChildId>,
    scaler: Scaler,
    rolling: Rolling,
    /// Those who wait for the end of the rolling restart.
    waiting: Vec<Reply>,
    /// Those who wait for all workers to be ready.
    awaiting: Vec<Reply>,
    /// A worker has been ready.
    ready: bool,
    /// Everybody was asked to leave: nobody is added any more.
    leaving: bool,
    supervision_timer: Option<SpawnHandle>,
    scaling_timer: Option<SpawnHandle>,
    /// A `Pressed` of a sender of tasks is on its way, or was heeded and the load is watched: one is enough.
    pressed: Arc<AtomicBool>,
}

/// Starts a pool's actor behind its door.
pub fn grow(spec: &Arc<PoolSpec>, door: &Door, birth: Birth) -> Link {
    let (spec, door) = (spec.clone(), door.clone());
    let words = birth.words.clone();
    let census = birth.house.census.clone();
    let make = |ctx: &mut Context<Pool>| Pool::new(spec, door, birth, ctx);
    let address: Addr<Pool> =
        guard::spawn(&census, make, move |panic| words.say(Said::Gone(panic)));
    Link::new(address.clone().recipient(), address.recipient())
}

impl Pool {
    fn new(spec: Arc<PoolSpec>, door: Door, birth: Birth, ctx: &mut Context<Self>) -> Self {
        let Birth {
            house,
            entry,
            words,
        } = birth;
        let pressed = Arc::new(AtomicBool::new(false));
        match &door {
            Door::Requests { port, .. } => port.attach(ctx.address().recipient()),
            Door::Tasks { port, .. } if spec.scaling.max_threads > spec.scaling.threads => {
                let (pool, pressed) = (ctx.address(), pressed.clone());
                port.tasks.on_wait(Some(Arc::new(move || {
                    if !pressed.swap(true, Ordering::SeqCst) {
                        pool.do_send(Pressed);
                    }
                })));
            }
            Door::Tasks { .. } => {}
        }
        let probed = door.clone();
        entry.probe(Some(Arc::new(move || {
            let (depth, capacity) = probed.queue();
            Live {
                queue: Some(Queue { depth, capacity }),
                running: probed.running(),
                ..Live::default()
            }
        })));
        // At most a quarter of the workers, but at least one, may be away for recycling at once.
        let recycling = Arc::new(Semaphore::new((spec.scaling.threads as usize / 4).max(1)));
        Self {
            brood: Brood::new(house.clone(), entry, spec.policy, ctx.address().recipient()),
            scaler: Scaler::new(spec.scaling),
            post: Post {
                spec,
                door,
                recycling,
            },
            words,
            house,
            workers: BTreeSet::new(),
            rolling: Rolling::default(),
            waiting: Vec::new(),
            awaiting: Vec::new(),
            ready: false,
            leaving: false,
            supervision_timer: None,
            scaling_timer: None,
            pressed,
        }
    }

    /// Adds the worker with the lowest free number.
    fn add_worker(&mut self) {
        let Some(number) = (1..).find(|number| self.brood.id_of(ChildId(*number)).is_none()) else {
            return;
        };
        let child = ChildId(number);
        self.workers.insert(child);
        let post = self.post.clone();
        let kind = match post.spec.work {
            Work::Classic => Kind::ClassicWorker,
            Work::Http(_) => Kind::HttpWorker,
            Work::Background(_) => Kind::BackgroundWorker,
        };
        self.brood.add(Offspring {
            number: child,
            spec: ChildSpec {
                stage: 0,
                ..post.spec.worker.clone()
            },
            id: self.brood.entry().id().worker(number),
            kind,
            name: number.to_string(),
            grow: Rc::new(move |birth| grow_worker(&post, birth)),
        });
    }

    /// Carries out what was decided and sees when to look again.
    fn settle(&mut self, ctx: &mut Context<Self>) {
        if let Some(ending) = self.brood.settle() {
            self.end(ending, ctx);
            return;
        }
        if self.is_complete() {
            answer(&mut self.awaiting, &Ok(()));
        }
        self.wait_no_longer();
        if let Some(timer) = self.supervision_timer.take() {
            ctx.cancel_future(timer);
        }
        self.supervision_timer = self.brood.wake_at().map(|at| {
            ctx.run_later(at.saturating_duration_since(Instant::now()), |pool, ctx| {
                pool.supervision_timer = None;
                pool.brood.tick();
                pool.settle(ctx);
            })
        });
    }

    fn end(&mut self, ending: Ending, ctx: &mut Context<Self>) {
        let (cause, detail) = match ending {
            Ending::Stopped => (Cause::Recycled, Detail::reason("stopped")),
            Ending::Escalated(detail) => (Cause::Escalated, detail),
        };
        // Told first: whoever finds the door shut and summons the worker again is heard after it.
        self.words.say(Said::Exited {
            exit: Exit {
                cause,
                was_ready: self.ready,
                served: 0,
                detail: detail.clone(),
            },
            over: true,
        });
        if cause == Cause::Escalated {
            self.shut(&detail);
        }
        self.turn_away();
        if let Door::Tasks { port, .. } = &self.post.door {
            port.tasks.on_wait(None);
        }
        ctx.stop();
    }

    fn shut(&self, why: &Detail) {
        // By then the site has tried again.
        let retry_after = self.post.spec.worker.backoff.cap;
        self.post.door.shut(Outage {
            reason: why.to_string(),
            retry_after,
        });
    }

    /// The end for good.
    fn close(&self) {
        let retry_after = self.post.spec.worker.backoff.cap;
        self.post.door.close(Outage {
            reason: "stopped".into(),
            retry_after,
        });
    }

    /// Answers requests that wait behind a shut door. Tasks were refused when it was shut.
    fn turn_away(&self) {
        let Door::Requests { port, .. } = &self.post.door else {
            return;
        };
        let Some(outage) = port.outage() else { return };
        for request in port.take_back() {
            answer_unavailable(*request, outage.retry_after);
        }
    }

    fn leave(&mut self, within: Option<Duration>) {
        self.leaving = true;
        self.rolling.cancel();
        // Dropped, they are answered that the node went away.
        self.waiting.clear();
        self.awaiting.clear();
        self.brood.stop(within);
    }

    // Rolling restart.

    fn roll(&mut self, children: Vec<ChildId>, reply: Reply) {
        self.waiting.push(reply);
        let progress = self.rolling.join(children);
        self.follow(progress, None);
    }

    /// Does what the rolling restart says is next. `failure` is what made it halt, if something did.
    fn follow(&mut self, progress: Progress, failure: Option<Detail>) {
        match progress {
            Progress::Wait => {}
            Progress::Next(child) => self.brood.restart_child(child),
            Progress::Done => answer(&mut self.waiting, &Ok(())),
            Progress::Halted(child, left) => {
                let Some(node) = self.brood.id_of(child).cloned() else {
                    return;
                };
                let reason = failure.unwrap_or_default().to_string();
                tracing::error!(%node, reason, left, "a rolling restart halted; the other workers keep what they have");
                let halted = SteerError::Halted { node, reason, left };
                answer(&mut self.waiting, &Err(halted));
            }
        }
    }

    /// Nobody waits for a worker whose boot does not end.
    fn wait_no_longer(&mut self) {
        if let Some(child) = self.rolling.current()
            && let Some(limit) = self.brood.late(child)
        {
            let progress = self.rolling.failed(child);
            self.follow(progress, Some(limit.passed()));
        }
        if self.awaiting.is_empty() {
            return;
        }
        let mut workers = self.workers.iter();
        if let Some((child, limit)) =
            workers.find_map(|child| Some((*child, self.brood.late(*child)?)))
        {
            self.say_failed(child, &limit.passed());
        }
    }

    /// Answers those who wait for all workers to be ready: one is not.
    fn say_failed(&mut self, child: ChildId, why: &Detail) {
        if let Some(node) = self.brood.id_of(child).cloned() {
            let halted = SteerError::Halted {
                node,
                reason: why.to_string(),
                left: 0,
            };
            answer(&mut self.awaiting, &Err(halted));
        }
    }

    /// Whether all workers that are to run are ready.
    fn is_complete(&self) -> bool {
        let is_ready = |child| matches!(self.brood.phase(child), Phase::Up { .. });
        let mut workers = self.workers.iter();
        workers.all(|child| is_ready(*child) || self.brood.rests(*child))
    }

    // Scaling.

    /// The added workers that are ready and idle, with the time they have been so.
    fn longest_idle(&self) -> Option<(ChildId, Duration)> {
        let idle = self.workers.iter().filter_map(|child| {
            let ready = matches!(self.brood.phase(*child), Phase::Up { .. });
            if !ready || child.0 <= self.scaler.policy().threads {
                return None;
            }
            let control = self.house.boards.get(self.brood.id_of(*child)?)?;
            let since = match self.post.spec.work {
                Work::Background(_) => control.idle_since()?,
                Work::Classic | Work::Http(_) => {
                    let status = control.status();
                    let idle = matches!(status.activity, Activity::Idle | Activity::Script);
                    idle.then_some(status.since)?
                }
            };
            Some((*child, since.elapsed()))
        });
        idle.max_by_key(|(_, idle)| *idle)
    }

    fn load(&self) -> Load {
        let wanted = self
            .workers
            .iter()
            .filter(|child| !self.brood.rests(**child));
        // A background worker that failed and is about to be tried again is on its way too: a script that can't
        // boot does not boot on more threads either.
        let in_background = matches!(self.post.spec.work, Work::Background(_));
        let booting = self
            .workers
            .iter()
            .filter(|child| match self.brood.phase(**child) {
                Phase::Starting { .. } => true,
                Phase::Down => in_background && !self.brood.rests(**child),
                _ => false,
            });
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Load {
            waiting: self.post.door.demand(),
            threads: count(wanted.count()),
            booting: count(booting.count()),
            longest_idle: self.longest_idle().map(|(_, idle)| idle),
        }
    }

    /// Looks whether to grow or shrink, and sees when to look again.
    fn scale(&mut self, ctx: &mut Context<Self>) {
        if let Some(timer) = self.scaling_timer.take() {
            ctx.cancel_future(timer);
        }
        if self.leaving {
            return;
        }
        let load = self.load();
        match self.scaler.look(load, Instant::now()) {
            Scale::Stay => {}
            Scale::Grow => {
                tracing::info!(pool = %self.brood.entry().id(), threads = load.threads + 1, "requests wait: adds a thread");
                self.add_worker();
            }
            Scale::Shrink => {
                if let Some((child, _)) = self
                    .longest_idle()
                    .filter(|(child, _)| self.lets_go(*child))
                {
                    tracing::info!(pool = %self.brood.entry().id(), threads = load.threads - 1, "threads idle: lets one go");
                    self.remove_worker(child);
                }
            }
        }
        self.settle(ctx);
        self.scaling_timer = self.scaler.look_again(self.load()).map(|pause| {
            ctx.run_later(pause, |pool, ctx| {
                pool.scaling_timer = None;
                pool.scale(ctx);
            })
        });
        if self.scaling_timer.is_none() {
            match &self.post.door {
                Door::Requests { port, .. } => port.relieve(),
                Door::Tasks { .. } => self.pressed.store(false, Ordering::SeqCst),
            }
            // What came after the look and before it was made known that nobody looks any more.
            let late = self.load();
            if late.waiting > 0 && late.threads < self.scaler.policy().max_threads {
                ctx.address().do_send(Pressed);
            }
        }
    }

    /// Whether the worker may go. A background worker's script takes no more tasks from this moment on, so that
    /// none comes before it is told.
    fn lets_go(&self, child: ChildId) -> bool {
        let Work::Background(_) = self.post.spec.work else {
            return true;
        };
        let control = self
            .brood
            .id_of(child)
            .and_then(|id| self.house.boards.get(id));
        control.is_some_and(|control| control.retire())
    }

    fn remove_worker(&mut self, child: ChildId) {
        self.workers.remove(&child);
        let progress = self.rolling.removed(child);
        self.brood.remove(child);
        self.follow(progress, None);
    }
}

impl Actor for Pool {
    type Context = Context<Self>;
}

impl Handler<Order> for Pool {
    type Result = ();

    fn handle(&mut self, order: Order, ctx: &mut Context<Self>) {
        match order {
            Order::Start => {
                for _ in 0..self.post.spec.scaling.threads {
                    self.add_worker();
                }
                self.brood.start();
                self.scale(ctx);
            }
            Order::Leave(Leave::ForNow) => self.leave(None),
            Order::Leave(Leave::ForGood) => {
                self.close();
                self.leave(None);
            }
            Order::Force | Order::EndBoot | Order::Orphaned => self.leave(Some(Duration::ZERO)),
        }
        self.settle(ctx);
    }
}

impl Handler<Word> for Pool {
    type Result = ();

    fn handle(&mut self, word: Word, ctx: &mut Context<Self>) {
        let child = word.child;
        let asked = matches!(self.brood.phase(child), Phase::Stopping { .. });
        let ended = match &word.said {
            Said::Exited { exit, .. } if !asked => Some(exit.detail.clone()),
            _ => None,
        };
        match self.brood.hear(word) {
            Heard::Ready(child) => {
                if !self.ready {
                    self.ready = true;
                    self.words.say(Said::Ready);
                }
                if !self.leaving {
                    self.post.door.open();
                }
                let progress = self.rolling.ready(child);
                self.follow(progress, None);
            }
            Heard::FailedBoot(child, detail) => {
                self.say_failed(child, &detail);
                let progress = self.rolling.failed(child);
                self.follow(progress, Some(detail));
            }
            Heard::Outdated => self.words.say(Said::Outdated),
            Heard::Other => {}
        }
        if let Some(detail) = ended
            && self.brood.is_running()
            && self.workers.iter().all(|child| self.brood.rests(*child))
        {
            self.post.door.rest(&detail);
        }
        self.settle(ctx);
    }
}

impl Handler<Pressed> for Pool {
    type Result = ();

    fn handle(&mut self, _: Pressed, ctx: &mut Context<Self>) {
        self.scale(ctx);
    }
}

impl Handler<Steer> for Pool {
    type Result = ();

    fn handle(&mut self, steer: Steer, ctx: &mut Context<Self>) {
        if self.leaving {
            return;
        }
        let all = steer.target == *self.brood.entry().id();
        let child = self.brood.find(&steer.target);
        match (steer.action, child) {
            (Action::Restart, _) if all => {
                let children = self.brood.children().collect();
                self.roll(children, steer.reply);
            }
            (Action::Restart, Some(child)) => self.roll(vec![child], steer.reply),
            (Action::Drain, Some(child)) => {
                self.brood.stop_child(child);
                // A rolling restart does not wait for it, nor bring it back.
                let progress = self.rolling.removed(child);
                self.follow(progress, None);
                let _ = steer.reply.send(Ok(()));
            }
            (Action::Kill, _) if all => {
                let nodes = self.brood.ids();
                let mut each = Vec::with_capacity(nodes.len());
                steer.spread(nodes, |steer| each.push(steer));
                for steer in each {
                    if let Some(child) = self.brood.find(&steer.target) {
                        self.brood.steer(child, steer);
                    }
                }
            }
            (Action::Kill, Some(child)) => self.brood.steer(child, steer),
            (Action::Await, _) if all => self.awaiting.push(steer.reply),
            (Action::Cancel, found) if all || found.is_some() => {
                let error = SteerError::Unfit(steer.target);
                let _ = steer.reply.send(Err(error));
            }
            (_, _) => {
                let error = SteerError::NotFound(steer.target);
                let _ = steer.reply.send(Err(error));
            }
        }
        self.settle(ctx);
    }
}

fn grow_worker(post: &Post, birth: Birth) -> Link {
    let post = post.clone();
    let words = birth.words.clone();
    let census = birth.house.census.clone();
    let make = |_: &mut Context<Worker>| Worker::new(post, birth);
    let address: Addr<Worker> =
        guard::spawn(&census, make, move |panic| words.say(Said::Gone(panic)));
    Link::new(address.clone().recipient(), address.recipient())
}

fn answer(replies: &mut Vec<Reply>, result: &Result<(), SteerError>) {
    for reply in replies.drain(..) {
        // Whoever asked may no longer wait.
        let _ = reply.send(result.clone());
    }
}

/// The answer to a request that nobody is left to serve.
fn answer_unavailable(request: Request, retry_after: Duration) {
    let seconds = retry_after.as_secs().max(1).to_string();
    let mut response = request.response;
    if response.begin() {
        let mut head = Head::new(503);
        head.push(b"Retry-After", seconds.as_bytes());
        response.set_head(head);
        response.finish();
    }
}
