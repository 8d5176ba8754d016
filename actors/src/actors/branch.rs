//! The root and the sites: supervisors of supervisors. What tells them apart is data: whom they have for
//! children, by which policy, and whether anybody is above them.

use std::time::Duration;

use actix::{Actor, ActorContext, AsyncContext, Context, Handler, Message, SpawnHandle};
use tokio::sync::{oneshot, watch};

use super::brood::{Brood, Ending, Heard, Offspring};
use super::kin::{Order, Said, Word, Words};
use super::scope::Summon;
use super::steer::{Action, Reply, Steer, SteerError};
use crate::supervision::{Cause, ChildId, Detail, Exit, Leave, Phase};
use crate::tree::{NodeId, State};

/// Whom a branch answers to.
pub enum Above {
    /// A parent.
    Parent(Words),
    /// Nobody: the root leaves its ending where the server waits for it.
    Nobody(watch::Sender<Option<Ending>>),
}

/// Makes the offspring of a name that was summoned, under the given number.
pub type Summoner = Box<dyn Fn(&str, ChildId) -> Option<Offspring>>;

/// A supervisor of supervisors.
pub struct Branch {
    brood: Brood,
    /// Sites only: how a background worker is made that somebody asked for.
    summoner: Option<Summoner>,
    above: Above,
    /// Those who wait for a child that is still to be started.
    waiting: Vec<(ChildId, Reply)>,
    timer: Option<SpawnHandle>,
}

/// Asks the root to end everything.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Shutdown {
    /// Everybody's grace taken together.
    pub grace: Duration,
}

impl Branch {
    pub fn new(
        mut brood: Brood,
        above: Above,
        children: Vec<Offspring>,
        summoner: Option<Summoner>,
    ) -> Self {
        for offspring in children {
            brood.add(offspring);
        }
        Self {
            brood,
            summoner,
            above,
            waiting: Vec::new(),
            timer: None,
        }
    }

    /// Carries out what was decided and sees when to look again.
    fn settle(&mut self, ctx: &mut Context<Self>) {
        if let Some(ending) = self.brood.settle() {
            self.end(ending);
            ctx.stop();
            return;
        }
        self.pass_on();
        if let Some(timer) = self.timer.take() {
            ctx.cancel_future(timer);
        }
        self.timer = self.brood.wake_at().map(|at| {
            let wait = at.saturating_duration_since(std::time::Instant::now());
            ctx.run_later(wait, |branch, ctx| {
                branch.timer = None;
                branch.brood.tick();
                branch.settle(ctx);
            })
        });
    }

    fn stop(&mut self, within: Option<Duration>) {
        // Dropped, they are answered that the node went away.
        self.waiting.clear();
        self.brood.stop(within);
    }

    fn end(&mut self, ending: Ending) {
        match &self.above {
            Above::Nobody(end) => {
                end.send_replace(Some(ending));
            }
            Above::Parent(words) => {
                let (cause, detail) = match ending {
                    Ending::Stopped => (Cause::Recycled, Detail::reason("stopped")),
                    Ending::Escalated(detail) => (Cause::Escalated, detail),
                };
                words.say(Said::Exited {
                    exit: Exit {
                        cause,
                        was_ready: true,
                        served: 0,
                        detail,
                    },
                    over: true,
                });
            }
        }
    }

    fn runs(&self, child: ChildId) -> bool {
        let phase = self.brood.phase(child);
        matches!(phase, Phase::Starting { .. } | Phase::Up { .. })
    }

    /// Lets those who waited for a child's start wait within it.
    fn pass_on(&mut self) {
        for (child, reply) in std::mem::take(&mut self.waiting) {
            match self.brood.id_of(child).cloned() {
                Some(target) if self.runs(child) => {
                    let action = Action::Await;
                    let steer = Steer {
                        target,
                        action,
                        reply,
                    };
                    self.brood.steer(child, steer);
                }
                _ => self.waiting.push((child, reply)),
            }
        }
    }

    /// Scripts that stay loaded are started afresh, everywhere: OPcache is the process's. Classic threads keep
    /// nothing loaded.
    fn renew_scripts(&mut self) {
        if let Above::Parent(words) = &self.above {
            words.say(Said::Outdated);
            return;
        }
        for target in self.brood.ids() {
            if target != NodeId::classic() {
                // Nobody waits for the answer.
                let (reply, _) = oneshot::channel();
                self.act(Steer {
                    target,
                    action: Action::Restart,
                    reply,
                });
            }
        }
    }

    fn act(&mut self, steer: Steer) {
        let Some(child) = self.brood.find(&steer.target) else {
            match self.brood.ancestor_of(&steer.target) {
                Some(ancestor) => self.brood.steer(ancestor, steer),
                None => {
                    let error = SteerError::NotFound(steer.target);
                    // Whoever asked may no longer wait.
                    let _ = steer.reply.send(Err(error));
                }
            }
            return;
        };
        match steer.action {
            Action::Restart | Action::Kill | Action::Await if self.runs(child) => {
                self.brood.steer(child, steer);
            }
            Action::Restart => {
                self.waiting.push((child, steer.reply));
                self.brood.restart_child(child);
            }
            // It is on its way, or down for a while.
            Action::Await if !self.brood.rests(child) => self.waiting.push((child, steer.reply)),
            Action::Drain => {
                // Dropped, those who wait for its start are answered that it went away.
                self.waiting.retain(|(waits_for, _)| *waits_for != child);
                self.brood.stop_child(child);
                let _ = steer.reply.send(Ok(()));
            }
            Action::Cancel => {
                let error = SteerError::Unfit(steer.target);
                let _ = steer.reply.send(Err(error));
            }
            // What does not run has nothing to end, and nothing to wait for.
            Action::Kill | Action::Await => {
                let _ = steer.reply.send(Ok(()));
            }
        }
    }
}

impl Actor for Branch {
    type Context = Context<Self>;
}

impl Handler<Order> for Branch {
    type Result = ();

    fn handle(&mut self, order: Order, ctx: &mut Context<Self>) {
        match order {
            Order::Start => {
                self.brood.start();
                // Its children's readiness is theirs: nobody waits for a site whose script can't boot.
                match &self.above {
                    Above::Parent(words) => words.say(Said::Ready),
                    Above::Nobody(_) => self.brood.entry().state(State::Ready),
                }
            }
            // The children's own graces count; when this branch's is over it is forced.
            Order::Leave(Leave::ForNow | Leave::ForGood) => self.stop(None),
            Order::Force | Order::EndBoot | Order::Orphaned => self.stop(Some(Duration::ZERO)),
        }
        self.settle(ctx);
    }
}

impl Handler<Summon> for Branch {
    type Result = ();

    /// Starts the background worker at once: one that is new, or one that waits for its next attempt.
    fn handle(&mut self, summon: Summon, ctx: &mut Context<Self>) {
        let id = self.brood.entry().id().background_pool(&summon.name);
        match self.brood.find(&id) {
            Some(child) if self.brood.phase(child) == Phase::Down => {
                self.brood.restart_child(child);
            }
            Some(child) if summon.rests => {
                // Nobody waits for the answer.
                let (reply, _) = oneshot::channel();
                self.brood.steer(
                    child,
                    Steer {
                        target: id,
                        action: Action::Restart,
                        reply,
                    },
                );
            }
            Some(_) => {}
            None => {
                let number = self.brood.next_number();
                let summoner = self.summoner.as_ref();
                let offspring = summoner.and_then(|summoner| summoner(&summon.name, number));
                if let Some(offspring) = offspring {
                    self.brood.add(offspring);
                }
            }
        }
        self.settle(ctx);
    }
}

impl Handler<Shutdown> for Branch {
    type Result = ();

    fn handle(&mut self, shutdown: Shutdown, ctx: &mut Context<Self>) {
        self.stop(Some(shutdown.grace));
        self.settle(ctx);
    }
}

impl Handler<Word> for Branch {
    type Result = ();

    fn handle(&mut self, word: Word, ctx: &mut Context<Self>) {
        match self.brood.hear(word) {
            Heard::FailedBoot(child, detail) => {
                if let Some(node) = self.brood.id_of(child) {
                    tracing::warn!(%node, why = %detail, "is down; it will be tried again");
                }
            }
            Heard::Outdated => self.renew_scripts(),
            Heard::Ready(_) | Heard::Other => {}
        }
        self.settle(ctx);
    }
}

impl Handler<Steer> for Branch {
    type Result = ();

    fn handle(&mut self, steer: Steer, ctx: &mut Context<Self>) {
        if steer.target == *self.brood.entry().id() {
            let nodes = self.brood.ids();
            let mut inner = Vec::with_capacity(nodes.len());
            steer.spread(nodes, |steer| inner.push(steer));
            inner.into_iter().for_each(|steer| self.act(steer));
        } else {
            self.act(steer);
        }
        self.settle(ctx);
    }
}
