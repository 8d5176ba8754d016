//! One PHP thread's owner: an HTTP worker, or a thread of the classic pool. What tells them apart is data, in
//! the pool's spec.
//!
//! The worker starts the thread, passes on its parent's orders, ends it by force, and gives it up when even
//! that does not help. It is an actor on an ordinary arbiter, so it answers while its thread is stuck.
//!
//! ```text
//!              Start                    Ready
//!    idle ───────────────► booting ───────────────► ready
//!     ▲                       │ Ended                 │ Relaunched: booting again
//!     └───────────────────────┴───────────────────────┘ Ended
//!                                    Gone, or written off ───► the actor ends
//! ```

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{Actor, ActorContext, AsyncContext, Context, Handler, Message};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use troupe_sapi::{Activity, Driver, KillReason, Lookout};

use super::background::BackgroundDriver;
use super::boards::Posted;
use super::door::{Door, Post};
use super::driver::HttpDriver;
use super::kin::{Birth, House, Order, Said, Words};
use super::reins::{Letter, Reins, Report, Reports, ThreadOrder, Ticket};
use super::spec::Work;
use super::steer::{Action, Steer, SteerError};
use super::thread::{Control, Spawned};
use crate::supervision::{Cause, Detail, Exit, Leave};
use crate::tree::{Current, Entry, Live};

/// How often a worker looks whether its thread has begun to boot.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// How long a running script may take to tell its stack.
const BACKTRACE: Duration = Duration::from_millis(100);

/// A thread that lives.
struct Owned {
    control: Arc<dyn Control>,
    orders: UnboundedSender<ThreadOrder>,
    ticket: Ticket,
    join: Box<dyn FnOnce() + Send>,
    _posted: Posted,
}

impl Owned {
    /// A closed channel means that the thread is on its way out, which its last report will tell.
    fn order(&self, order: ThreadOrder) {
        let _ = self.orders.send(order);
    }
}

pub struct Worker {
    post: Post,
    house: House,
    entry: Arc<Entry>,
    words: Words,
    thread: Option<Owned>,
    /// A script runs (or, in classic mode, the thread serves): an exit is owed to the parent.
    running: bool,
    ready: bool,
    /// The parent wants the thread gone.
    quitting: bool,
    /// The exit that is told when the thread is gone.
    last_exit: Option<Exit>,
    forced_at: Option<Instant>,
    /// Its script boots for longer than it may.
    late: bool,
    /// The piece of work that was logged as slow.
    slow_logged: Option<u64>,
}

/// The thread needs a look: something is slow, or does not end.
#[derive(Message)]
#[rtype(result = "()")]
struct Look;

impl Worker {
    pub fn new(post: Post, birth: Birth) -> Self {
        let Birth {
            house,
            entry,
            words,
        } = birth;
        Self {
            post,
            house,
            entry,
            words,
            thread: None,
            running: false,
            ready: false,
            quitting: false,
            last_exit: None,
            forced_at: None,
            late: false,
            slow_logged: None,
        }
    }

    fn start(&mut self, ctx: &mut Context<Self>) {
        self.running = true;
        self.boot_begins();
        if self.thread.is_none()
            && let Err(error) = self.spawn(ctx)
        {
            let detail = Detail::message("no_thread", error);
            self.exit(false, Cause::Abnormal, detail, ctx);
            return;
        }
        if let Some(thread) = &self.thread {
            thread.control.resume();
            thread.order(ThreadOrder::Run);
        }
    }

    fn spawn(&mut self, ctx: &mut Context<Self>) -> Result<(), String> {
        let (orders, inbox) = unbounded_channel();
        let ticket = Ticket::default();
        let counted = self.house.census.thread();
        let reports = Reports::new(ctx.address().recipient(), self.house.census.clone());
        let reins = Reins::new(
            self.post.spec.clone(),
            inbox,
            reports,
            ticket.clone(),
            counted,
        );
        let driver: Box<dyn Driver> = match self.post.door.clone() {
            Door::Requests { port, scope } => {
                let recycling = self.post.recycling.clone();
                Box::new(HttpDriver::new(reins, port, scope, recycling))
            }
            Door::Tasks { port, scope, .. } => Box::new(BackgroundDriver::new(reins, port, scope)),
        };
        let Spawned { control, join } =
            self.house.threads.spawn(self.entry.id().as_str(), driver)?;
        let looked_at = control.clone();
        self.entry.probe(Some(Arc::new(move || look(&*looked_at))));
        control.watch(self.lookout(ctx));
        let posted = self
            .house
            .boards
            .post(self.entry.id().clone(), control.clone());
        self.thread = Some(Owned {
            control,
            orders,
            ticket,
            join,
            _posted: posted,
        });
        Ok(())
    }

    /// Nobody waits for the look, nor for a worker that is gone.
    fn lookout(&self, ctx: &Context<Self>) -> Lookout {
        let worker = ctx.address().downgrade();
        Lookout {
            slow_after: self.post.spec.slow_after,
            stuck_after: self.post.spec.write_off_after,
            look: Arc::new(move || {
                if let Some(worker) = worker.upgrade() {
                    worker.do_send(Look);
                }
            }),
        }
    }

    /// The actor's end: tells the parent how the run ended and that no further start will find this actor.
    fn exit(&mut self, was_ready: bool, cause: Cause, detail: Detail, ctx: &mut Context<Self>) {
        let exit = self.last_exit.take().unwrap_or(Exit {
            cause,
            was_ready,
            served: 0,
            detail,
        });
        if std::mem::take(&mut self.running) {
            self.words.say(Said::Exited { exit, over: true });
        }
        ctx.stop();
    }

    fn leave(&mut self, leave: Leave) {
        let Some(thread) = &self.thread else { return };
        // A classic thread has no script to renew: it is renewed itself.
        let renews_script = !matches!(self.post.spec.work, Work::Classic);
        if leave == Leave::ForNow && renews_script {
            thread.order(ThreadOrder::Leave);
        } else {
            self.quitting = true;
            thread.order(ThreadOrder::Quit);
        }
        if let Work::Background(_) = self.post.spec.work {
            // Its thread waits in the script and reads no orders there.
            thread.control.drain();
        }
    }

    fn force(&mut self, reason: KillReason, ctx: &mut Context<Self>) {
        let Some(thread) = &self.thread else { return };
        thread.control.kill(reason);
        if self.forced_at.is_none() {
            self.forced_at = Some(Instant::now());
            // The thread may run nothing that could be killed.
            ctx.notify_later(Look, self.post.spec.write_off_after);
        }
    }

    fn boot_begins(&mut self) {
        self.ready = false;
        self.late = false;
        self.forced_at = None;
    }

    /// Ends a boot that takes too long, and nothing else: once the thread has a request in hand, its boot is over
    /// and the report of that on its way.
    fn end_boot(&self, ctx: &mut Context<Self>) {
        let Some(thread) = self.thread.as_ref().filter(|_| self.late && !self.ready) else {
            return;
        };
        let status = thread.control.status();
        match status.activity {
            Activity::Script => {
                thread.control.kill_run(KillReason::Boot, status.generation);
            }
            // It has not come as far as its script.
            Activity::Starting | Activity::Idle => {
                ctx.run_later(LOOK_AGAIN, |worker, ctx| worker.end_boot(ctx));
            }
            Activity::Request { .. } | Activity::Ended => {}
        }
    }

    /// Looks whether the thread is stuck or slow.
    fn look(&mut self, ctx: &mut Context<Self>) {
        let Some(thread) = &self.thread else { return };
        let status = thread.control.status();
        let killed_at = status.killed.map(|(_, at)| at);
        let stuck_since = killed_at.into_iter().chain(self.forced_at).min();
        if stuck_since.is_some_and(|since| since.elapsed() >= self.post.spec.write_off_after) {
            self.write_off(ctx);
            return;
        }
        let took = status.since.elapsed();
        let slow = self.post.spec.slow_after.is_some_and(|limit| took >= limit);
        let Activity::Request { id, method, uri } = status.activity else {
            return;
        };
        if slow && self.slow_logged != Some(status.generation) {
            self.slow_logged = Some(status.generation);
            let node = self.entry.id().clone();
            with_backtrace(thread.control.clone(), move |backtrace| {
                tracing::warn!(%node, request = id, method, uri, ?took, backtrace, "slow request");
            });
        }
    }

    /// Gives the thread up: it does not come out of what it is in.
    fn write_off(&mut self, ctx: &mut Context<Self>) {
        let Some(thread) = self.thread.take() else {
            return;
        };
        thread.ticket.mark_lost(self.house.census.lost_thread());
        let node = self.entry.id().clone();
        let status = thread.control.status();
        let what = what(&status.activity);
        with_backtrace(thread.control.clone(), move |backtrace| {
            tracing::error!(
                %node,
                what,
                since = ?status.since.elapsed(),
                backtrace,
                "a PHP thread did not end when it was killed; it is written off and replaced"
            );
        });
        thread.control.write_off();
        // With the channel of its orders closed, it leaves should it ever come back.
        drop(thread);
        let detail = Detail::message("thread_lost", "its thread did not end when it was killed");
        self.exit(self.ready, Cause::Abnormal, detail, ctx);
    }

    fn steer(&mut self, steer: Steer) {
        let result = match steer.action {
            Action::Kill => {
                if let Some(thread) = &self.thread {
                    thread.control.kill(KillReason::Operator);
                }
                Ok(())
            }
            // The pool keeps these to itself: it is the one that knows when the worker is ready again.
            Action::Restart | Action::Drain | Action::Await => {
                Err(SteerError::NotFound(steer.target))
            }
            Action::Cancel => Err(SteerError::Unfit(steer.target)),
        };
        // Whoever asked may no longer wait.
        let _ = steer.reply.send(result);
    }
}

impl Actor for Worker {
    type Context = Context<Self>;
}

impl Drop for Worker {
    /// The worker panicked, or its pool did: its thread must not outlive it unwatched.
    fn drop(&mut self) {
        self.entry.probe(None);
        if let Some(thread) = self.thread.take() {
            thread.ticket.mark_lost(self.house.census.lost_thread());
            thread.control.kill(KillReason::Stop);
        }
    }
}

impl Handler<Order> for Worker {
    type Result = ();

    fn handle(&mut self, order: Order, ctx: &mut Context<Self>) {
        match order {
            Order::Start => self.start(ctx),
            Order::Leave(leave) => self.leave(leave),
            Order::Force => self.force(KillReason::Stop, ctx),
            Order::EndBoot => {
                self.late = true;
                self.end_boot(ctx);
            }
            Order::Orphaned => {
                self.leave(Leave::ForGood);
                self.force(KillReason::Stop, ctx);
            }
        }
        if self.thread.is_none() && order != Order::Start {
            ctx.stop();
        }
    }
}

impl Handler<Look> for Worker {
    type Result = ();

    fn handle(&mut self, _: Look, ctx: &mut Context<Self>) {
        self.look(ctx);
    }
}

impl Handler<Letter> for Worker {
    type Result = ();

    fn handle(&mut self, letter: Letter, ctx: &mut Context<Self>) {
        match letter.report {
            Report::Ready => {
                self.ready = true;
                self.words.say(Said::Ready);
            }
            Report::OpcacheReset => self.words.say(Said::Outdated),
            Report::Relaunched(exit) => {
                self.boot_begins();
                self.words.say(Said::Relaunched(exit));
            }
            Report::Ended(exit) if self.quitting => self.last_exit = Some(exit),
            Report::Ended(exit) => {
                self.running = false;
                self.late = false;
                self.forced_at = None;
                self.words.say(Said::Exited { exit, over: false });
            }
            Report::Gone(limit) => {
                if let Some(thread) = self.thread.take() {
                    (thread.join)();
                }
                let (cause, detail) = match limit {
                    Some(limit) => (Cause::Recycled, limit),
                    None if self.quitting => (Cause::Recycled, Detail::reason("stopped")),
                    None => (
                        Cause::Abnormal,
                        Detail::message("thread_died", "its thread ended by itself"),
                    ),
                };
                self.exit(self.ready, cause, detail, ctx);
            }
        }
    }
}

impl Handler<Steer> for Worker {
    type Result = ();

    fn handle(&mut self, steer: Steer, _: &mut Context<Self>) {
        self.steer(steer);
    }
}

/// What the tree shows of a thread.
fn look(control: &dyn Control) -> Live {
    let status = control.status();
    let current = match &status.activity {
        Activity::Request { id, .. } => Some(Current {
            id: *id,
            what: what(&status.activity),
            age: status.since.elapsed(),
        }),
        _ => None,
    };
    Live {
        current,
        served: Some(status.served),
        memory: Some(status.memory as u64),
        ..Live::default()
    }
}

fn what(activity: &Activity) -> String {
    match activity {
        Activity::Request { method, uri, .. } => format!("{method} {uri}"),
        Activity::Starting => "PHP's own start-up".to_owned(),
        Activity::Idle => "nothing".to_owned(),
        Activity::Script => "the worker script".to_owned(),
        Activity::Ended => "its end".to_owned(),
    }
}

/// Asks a thread for its stack without keeping the actors waiting.
fn with_backtrace(control: Arc<dyn Control>, then: impl FnOnce(String) + Send + 'static) {
    tokio::task::spawn_blocking(move || {
        let backtrace = control
            .backtrace(BACKTRACE)
            .unwrap_or_else(|| "unavailable: the script does not answer".into());
        then(backtrace);
    });
}
