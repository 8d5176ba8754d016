//! The part that every supervising actor has: its children, its supervision state machine, and what the tree
//! shows of them.
//!
//! The owner passes on every [`Word`] and calls [`Brood::settle`] after whatever happened; the brood carries the
//! commands out, keeps the children's entries true, and says when the owner's own end has come.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::Recipient;

use super::kin::{Birth, House, Link, Order, Said, Word, Words};
use super::steer::Steer;
use crate::supervision::{
    BootLimit, Cause, ChildId, ChildSpec, Command, Detail, Escalation, Exit, Leave, Phase, Policy,
    Supervisor,
};
use crate::tree::{Entry, Kind, NodeId, State};

/// Makes a child's actor.
pub type Grow = Rc<dyn Fn(Birth) -> Link>;

/// A child that is to be.
pub struct Offspring {
    pub number: ChildId,
    pub spec: ChildSpec,
    pub id: NodeId,
    pub kind: Kind,
    pub name: String,
    pub grow: Grow,
}

/// What a word meant for the owner.
#[derive(Debug)]
pub enum Heard {
    /// The child is ready.
    Ready(ChildId),
    /// The child failed before it was ready.
    FailedBoot(ChildId, Detail),
    /// What scripts have loaded is out of date.
    Outdated,
    /// Anything else.
    Other,
}

/// Why the owner ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// It was asked to.
    Stopped,
    /// Its children failed too often; with the last failure.
    Escalated(Detail),
}

struct Slot {
    entry: Arc<Entry>,
    grow: Grow,
    link: Option<Link>,
    life: u64,
    /// It was removed and only waits for its actor to go.
    removed: bool,
    /// What the entry shows, so that it is written only when it changed.
    shown: Option<Shown>,
}

type Shown = (State, u64, Option<Instant>);

pub struct Brood {
    house: House,
    entry: Arc<Entry>,
    recipient: Recipient<Word>,
    supervisor: Supervisor,
    slots: BTreeMap<ChildId, Slot>,
    lives: u64,
    /// Actors that have not been reported gone; some have said their last word and are on their way out.
    alive: BTreeSet<u64>,
    last_failure: Option<Detail>,
    ending: Option<Ending>,
}

impl Brood {
    /// A brood of nobody. `recipient` is the owner's, `entry` too.
    pub fn new(
        house: House,
        entry: Arc<Entry>,
        policy: Policy,
        recipient: Recipient<Word>,
    ) -> Self {
        Self {
            house,
            entry,
            recipient,
            supervisor: Supervisor::new(policy),
            slots: BTreeMap::new(),
            lives: 0,
            alive: BTreeSet::new(),
            last_failure: None,
            ending: None,
        }
    }

    pub fn add(&mut self, offspring: Offspring) {
        let Offspring {
            number,
            spec,
            id,
            kind,
            name,
            grow,
        } = offspring;
        let entry = Arc::new(
            self.house
                .tree
                .enter(id, kind, &name, Some(self.entry.id())),
        );
        let slot = Slot {
            entry,
            grow,
            link: None,
            life: 0,
            removed: false,
            shown: None,
        };
        self.slots.insert(number, slot);
        self.supervisor.add(number, spec, Instant::now());
    }

    pub fn start(&mut self) {
        self.supervisor.start(Instant::now());
    }

    /// Ends everything, in reverse order. No child's grace reaches beyond `within`.
    pub fn stop(&mut self, within: Option<Duration>) {
        self.supervisor.stop(within, Instant::now());
    }

    pub fn restart_child(&mut self, child: ChildId) {
        self.supervisor.restart_child(child, Instant::now());
    }

    pub fn stop_child(&mut self, child: ChildId) {
        self.supervisor.stop_child(child, Instant::now());
    }

    pub fn remove(&mut self, child: ChildId) {
        self.supervisor.remove(child, Instant::now());
    }

    pub fn tick(&mut self) {
        self.supervisor.tick(Instant::now());
    }

    /// When [`tick`](Self::tick) is due.
    pub fn wake_at(&self) -> Option<Instant> {
        self.supervisor.wake_at()
    }

    /// Takes in what a child said. The tree shows it before anybody is answered on the strength of it.
    pub fn hear(&mut self, word: Word) -> Heard {
        let heard = self.take_in(word);
        self.show();
        heard
    }

    fn take_in(&mut self, word: Word) -> Heard {
        let Word { child, life, said } = word;
        if let Said::Gone(_) = said {
            self.alive.remove(&life);
        }
        let Some(slot) = self.slots.get_mut(&child).filter(|slot| slot.life == life) else {
            return Heard::Other;
        };
        let now = Instant::now();
        match said {
            Said::Ready => {
                self.supervisor.ready(child, now);
                // Asked to leave meanwhile, it is the readiness of a start that is over already.
                let up = matches!(self.supervisor.phase(child), Some(Phase::Up { .. }));
                if up {
                    Heard::Ready(child)
                } else {
                    Heard::Other
                }
            }
            Said::Outdated => Heard::Outdated,
            Said::Relaunched(exit) => {
                note(&slot.entry, &self.entry, &exit, true);
                self.supervisor.relaunched(child, now);
                Heard::Other
            }
            Said::Exited { exit, over } => {
                if over {
                    slot.link = None;
                }
                self.exited(child, &exit, now)
            }
            Said::Gone(panic) => {
                let had_said_so = slot.link.take().is_none();
                let was_down = self
                    .supervisor
                    .phase(child)
                    .is_none_or(|phase| phase == Phase::Down);
                if had_said_so || was_down {
                    return Heard::Other;
                }
                let was_ready = matches!(self.supervisor.phase(child), Some(Phase::Up { .. }));
                let detail = match panic {
                    Some(message) => Detail::message("panicked", message),
                    None => Detail::reason("vanished"),
                };
                self.exited(
                    child,
                    &Exit {
                        cause: Cause::Panicked,
                        was_ready,
                        served: 0,
                        detail,
                    },
                    now,
                )
            }
        }
    }

    fn exited(&mut self, child: ChildId, exit: &Exit, now: Instant) -> Heard {
        let failed = matches!(exit.cause, Cause::Escalated | Cause::Panicked)
            || (!exit.was_ready && exit.cause != Cause::Recycled);
        // Who is asked to leave and has to be forced has not failed to boot.
        let asked = matches!(self.supervisor.phase(child), Some(Phase::Stopping { .. }));
        self.supervisor.exited(child, exit, now, &mut fastrand::f64);
        if let Some(slot) = self.slots.get(&child) {
            let restarts = !self.supervisor.rests(child);
            note(&slot.entry, &self.entry, exit, restarts);
        }
        if !failed || asked {
            return Heard::Other;
        }
        self.last_failure = Some(exit.detail.clone());
        Heard::FailedBoot(child, exit.detail.clone())
    }

    /// Carries out what has been decided. `Some` when the owner's end has come and everybody is gone.
    pub fn settle(&mut self) -> Option<Ending> {
        while let Some(command) = self.supervisor.next_command() {
            self.carry_out(command);
        }
        self.show();
        if self.alive.is_empty() {
            self.ending.take()
        } else {
            None
        }
    }

    fn carry_out(&mut self, command: Command) {
        match command {
            Command::Start(child) => self.begin(child),
            Command::Stop(child, leave) => self.order(child, Order::Leave(leave)),
            Command::Force(child) => self.order(child, Order::Force),
            Command::EndBoot(child) => self.order(child, Order::EndBoot),
            Command::Forget(child) => {
                let Some(slot) = self.slots.get_mut(&child) else {
                    return;
                };
                match &slot.link {
                    Some(link) => {
                        link.order(Order::Leave(Leave::ForGood));
                        slot.removed = true;
                    }
                    None => drop(self.slots.remove(&child)),
                }
            }
            Command::Stopped => self.end(Ending::Stopped),
            Command::Escalate(escalation) => {
                let last = self.last_failure.take().unwrap_or_default();
                let why = self.explain(escalation);
                tracing::error!(node = %self.entry.id(), %why, last_failure = %last, "gives up and escalates");
                let message = format!("{why}; the last: {last}");
                self.end(Ending::Escalated(Detail {
                    message: Some(message),
                    reason: "escalated",
                    ..last
                }));
            }
        }
    }

    fn begin(&mut self, child: ChildId) {
        let Some(slot) = self.slots.get_mut(&child) else {
            return;
        };
        let link = match slot.link.take() {
            Some(link) => link,
            None => {
                self.lives += 1;
                slot.life = self.lives;
                self.alive.insert(slot.life);
                let words = Words::new(self.recipient.clone(), child, slot.life);
                (slot.grow)(Birth {
                    house: self.house.clone(),
                    entry: slot.entry.clone(),
                    words,
                })
            }
        };
        link.order(Order::Start);
        slot.link = Some(link);
    }

    fn order(&self, child: ChildId, order: Order) {
        if let Some(link) = self.slots.get(&child).and_then(|slot| slot.link.as_ref()) {
            link.order(order);
        }
    }

    /// The machine is over; actors that are down but wait for another start are let go.
    fn end(&mut self, ending: Ending) {
        self.ending = Some(ending);
        for link in self.slots.values().filter_map(|slot| slot.link.as_ref()) {
            link.order(Order::Leave(Leave::ForGood));
        }
    }

    fn explain(&self, escalation: Escalation) -> String {
        match escalation {
            Escalation::Intensity { failures, period } => {
                format!("{failures} failed boots within {} s", period.as_secs())
            }
            Escalation::Consecutive { child, failures } => {
                let id = self
                    .slots
                    .get(&child)
                    .map(|slot| slot.entry.id().to_string())
                    .unwrap_or_default();
                format!("{failures} failed boots of {id} in a row")
            }
        }
    }

    /// Brings the children's entries up to date, and drops those that were removed and are gone.
    fn show(&mut self) {
        let supervisor = &self.supervisor;
        self.slots.retain(|child, slot| {
            if slot.removed && slot.link.is_none() {
                return false;
            }
            let starts_at = supervisor.starts_at(*child);
            let state = match supervisor.phase(*child) {
                Some(Phase::Starting { .. }) => State::Starting,
                Some(Phase::Up { .. }) => State::Ready,
                Some(Phase::Stopping { .. }) => State::Draining,
                Some(Phase::Down) | None if supervisor.rests(*child) => State::Stopped,
                Some(Phase::Down) | None => State::Waiting,
            };
            let shown = (state, supervisor.generation(*child), starts_at);
            if slot.shown != Some(shown) {
                slot.shown = Some(shown);
                slot.entry.update(|facts| {
                    (facts.state, facts.generation, facts.next_start) = shown;
                });
            }
            true
        });
        if let Some(failures) = supervisor.failures() {
            // Old failures leave the window by themselves; only a new one changes what is told.
            self.entry.note_failures(failures);
        }
    }

    /// The children by number, in starting order.
    pub fn children(&self) -> impl Iterator<Item = ChildId> + '_ {
        self.supervisor.children()
    }

    /// A number that no child has.
    pub fn next_number(&self) -> ChildId {
        let last = self.slots.last_key_value();
        ChildId(last.map_or(1, |(child, _)| child.0 + 1))
    }

    pub fn id_of(&self, child: ChildId) -> Option<&NodeId> {
        self.slots.get(&child).map(|slot| slot.entry.id())
    }

    pub fn ids(&self) -> Vec<NodeId> {
        self.slots
            .values()
            .map(|slot| slot.entry.id().clone())
            .collect()
    }

    /// The child that `target` is.
    pub fn find(&self, target: &NodeId) -> Option<ChildId> {
        self.slots
            .iter()
            .find(|(_, slot)| slot.entry.id() == target)
            .map(|(child, _)| *child)
    }

    /// The child that has `target` below it.
    pub fn ancestor_of(&self, target: &NodeId) -> Option<ChildId> {
        self.slots
            .iter()
            .find(|(_, slot)| target.is_below(slot.entry.id()))
            .map(|(child, _)| *child)
    }

    pub fn phase(&self, child: ChildId) -> Phase {
        self.supervisor.phase(child).unwrap_or(Phase::Down)
    }

    /// The limit that the child's start has passed, if it has.
    pub fn late(&self, child: ChildId) -> Option<BootLimit> {
        self.supervisor.late(child)
    }

    pub fn is_running(&self) -> bool {
        self.supervisor.is_running()
    }

    pub fn rests(&self, child: ChildId) -> bool {
        self.supervisor.rests(child)
    }

    /// Hands a request down; dropped, and so answered by `Gone`, when the child has no actor.
    pub fn steer(&self, child: ChildId, steer: Steer) {
        if let Some(link) = self.slots.get(&child).and_then(|slot| slot.link.as_ref()) {
            link.steer(steer);
        }
    }

    pub fn entry(&self) -> &Arc<Entry> {
        &self.entry
    }
}

/// Takes note of an exit where people will look for it.
fn note(child: &Entry, parent: &Entry, exit: &Exit, restarts: bool) {
    let node = child.id();
    let in_background = child.tree().kind(node) == Some(Kind::BackgroundWorker);
    match exit.cause {
        Cause::Recycled => tracing::debug!(%node, exit = %exit.detail, "recycled"),
        Cause::Normal if exit.was_ready => tracing::info!(%node, exit = %exit.detail, "exited"),
        Cause::Normal | Cause::Abnormal if !exit.was_ready => {
            tracing::error!(%node, exit = %exit.detail, "exited before it was ready");
        }
        Cause::Abnormal if in_background && restarts => {
            tracing::warn!(%node, exit = %exit.detail, "background worker exited, restarting");
        }
        _ => tracing::warn!(%node, exit = %exit.detail, served = exit.served, "exited"),
    }
    child.update(|facts| facts.exited(exit.detail.clone()));
    parent.count_exit(exit.detail.reason);
}
