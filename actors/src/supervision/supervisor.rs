//! The supervisor as a plain state machine: events and the time go in, commands come out.
//!
//! Root, site and pool actors each hold one. It knows no actor, no thread and no clock, so every strategy,
//! window and order can be tested by a list of events. The holder tells it what happened, then takes every
//! [`Command`] until there is none, and calls [`tick`](Supervisor::tick) at [`wake_at`](Supervisor::wake_at).
//!
//! Invariants:
//! - a child is started only from `Down`, and every start ends with one `exited`;
//! - starts go stage by stage upwards, stops downwards; a stage whose children fail does not hold the next one
//!   back for ever: after one attempt each, or when they take too long, it goes on without them;
//! - in a group restart (`one_for_all`, `rest_for_one`) nothing starts before everything that leaves is down,
//!   and the stages wait for each other as at the first start.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::backoff::Backoff;
use super::child::{Child, Want};
use super::exit::Exit;
use super::intensity::Window;
use super::spec::{BootLimit, ChildSpec, Policy, Strategy, Verdict};

/// A child's number, unique among its siblings for as long as the supervisor lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChildId(pub u32);

/// What the holder is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Start the child.
    Start(ChildId),
    /// Ask the child to finish what it is doing and leave.
    Stop(ChildId, Leave),
    /// The grace is over: end the child by force.
    Force(ChildId),
    /// The start took too long: end it by force unless it is ready by now.
    EndBoot(ChildId),
    /// The child was removed and is down: forget it.
    Forget(ChildId),
    /// Every child is down because they failed too often: report to the parent and end.
    Escalate(Escalation),
    /// Every child is down as asked.
    Stopped,
}

/// What a child that is asked to leave should expect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// It is started again soon: what is costly to make anew may be kept.
    ForNow,
    /// It is not.
    ForGood,
}

/// Why a supervisor gave up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escalation {
    /// More failures than its intensity allows.
    Intensity {
        /// Failures within the window.
        failures: u32,
        /// The length of the window.
        period: Duration,
    },
    /// One child failed so many boots in a row.
    Consecutive {
        /// The child.
        child: ChildId,
        /// The failed boots.
        failures: u32,
    },
}

/// Where a child is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Not running. With `Want::Run` it waits for its time or its turn.
    Down,
    /// Started, not ready yet.
    Starting {
        /// Since when.
        since: Instant,
    },
    /// Ready.
    Up {
        /// Since when.
        since: Instant,
    },
    /// Asked to leave.
    Stopping {
        /// When its grace is over; `None` once it was forced.
        force_at: Option<Instant>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Course {
    /// Before `start`.
    Asleep,
    Running,
    Stopping {
        /// No grace reaches beyond this.
        deadline: Option<Instant>,
    },
    Escalating(Escalation),
    Over,
}

/// The state machine.
#[derive(Debug)]
pub struct Supervisor {
    policy: Policy,
    window: Option<Window>,
    /// In the order of their stages, and within one in the order they were added.
    children: Vec<Child>,
    course: Course,
    commands: VecDeque<Command>,
}

impl Supervisor {
    /// A supervisor without children that has not started.
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            window: policy.intensity.map(Window::new),
            children: Vec::new(),
            course: Course::Asleep,
            commands: VecDeque::new(),
        }
    }

    /// Adds a child that is to run; it starts when its stage's turn comes. `id` must be new.
    pub fn add(&mut self, id: ChildId, spec: ChildSpec, now: Instant) {
        debug_assert!(self.find(id).is_none(), "{id:?} is taken");
        let place = self
            .children
            .partition_point(|child| child.spec.stage <= spec.stage);
        let child = Child {
            id,
            spec,
            phase: Phase::Down,
            want: Want::Run,
            leaving: false,
            tried: false,
            not_before: None,
            late: false,
            backoff: Backoff::default(),
            consecutive: 0,
            generation: 0,
        };
        self.children.insert(place, child);
        self.tick(now);
    }

    /// Starts the children.
    pub fn start(&mut self, now: Instant) {
        if self.course == Course::Asleep {
            self.course = Course::Running;
        }
        self.tick(now);
    }

    /// The child is ready.
    pub fn ready(&mut self, id: ChildId, now: Instant) {
        if let Some(child) = self.find(id) {
            if matches!(child.phase, Phase::Starting { .. }) {
                child.phase = Phase::Up { since: now };
            }
            child.tried = true;
            child.late = false;
            child.consecutive = 0;
        }
        self.tick(now);
    }

    /// The child ended. `random` yields numbers from 0 up to, not including, 1.
    pub fn exited(
        &mut self,
        id: ChildId,
        exit: &Exit,
        now: Instant,
        random: &mut dyn FnMut() -> f64,
    ) {
        self.record_exit(id, exit, now, random);
        self.tick(now);
    }

    fn record_exit(
        &mut self,
        id: ChildId,
        exit: &Exit,
        now: Instant,
        random: &mut dyn FnMut() -> f64,
    ) {
        let Some(child) = self
            .children
            .iter_mut()
            .find(|child| child.id == id && !child.is_down())
        else {
            return;
        };
        let uptime = match child.phase {
            Phase::Up { since } => now.saturating_duration_since(since),
            _ => Duration::ZERO,
        };
        let asked = child.leaving || child.want != Want::Run;
        child.backoff.lived(&child.spec.backoff, uptime);
        child.phase = Phase::Down;
        child.leaving = false;
        child.late = false;
        if asked {
            return;
        }
        child.tried = true;
        match child.spec.verdict(exit, uptime) {
            Verdict::Rest => child.want = Want::Rest,
            Verdict::AtOnce => self.come_back(id, None),
            Verdict::Guarded(wait) => self.come_back(id, Some(now + wait)),
            Verdict::Failed { counts } => {
                let wait = child.backoff.fail(&child.spec.backoff, random);
                child.consecutive = child.consecutive.saturating_add(1);
                let failures = child.consecutive;
                let in_a_row_too_many = child
                    .spec
                    .max_consecutive_failures
                    .is_some_and(|max| failures >= max);
                let window_too_many =
                    counts && self.window.as_mut().is_some_and(|window| window.fail(now));
                if in_a_row_too_many {
                    self.escalate(Escalation::Consecutive {
                        child: id,
                        failures,
                    });
                } else if let (true, Some(window)) = (window_too_many, &mut self.window) {
                    let escalation = Escalation::Intensity {
                        failures: window.count(now),
                        period: window.intensity().period,
                    };
                    self.escalate(escalation);
                } else {
                    self.come_back(id, Some(now + wait));
                }
            }
        }
    }

    /// Lets the child, and by strategy its siblings, start again.
    fn come_back(&mut self, id: ChildId, not_before: Option<Instant>) {
        let Some(place) = self.position(id) else {
            return;
        };
        let group = match self.policy.strategy {
            Strategy::OneForOne => place..place,
            Strategy::OneForAll => 0..self.children.len(),
            Strategy::RestForOne => place..self.children.len(),
        };
        self.children[place].not_before = not_before;
        for child in self.children[group]
            .iter_mut()
            .filter(|child| child.want == Want::Run)
        {
            child.leave(Want::Run);
            child.not_before = not_before;
        }
    }

    fn escalate(&mut self, escalation: Escalation) {
        if matches!(self.course, Course::Asleep | Course::Running) {
            self.course = Course::Escalating(escalation);
            self.let_all_leave();
        }
    }

    fn let_all_leave(&mut self) {
        for child in &mut self.children {
            if child.want != Want::Gone {
                child.leave(Want::Rest);
            }
        }
    }

    /// The child ended and is already starting again by itself, as [`ChildSpec::verdict`] allowed it. Only in a
    /// `one_for_one` supervisor may children do that.
    pub fn relaunched(&mut self, id: ChildId, now: Instant) {
        let Some(child) = self.find(id) else { return };
        let Phase::Up { since } = child.phase else {
            return;
        };
        let uptime = now.saturating_duration_since(since);
        child.backoff.lived(&child.spec.backoff, uptime);
        child.phase = Phase::Starting { since: now };
        child.generation += 1;
        self.tick(now);
    }

    /// Ends one child; it stays down until [`restart_child`](Self::restart_child).
    pub fn stop_child(&mut self, id: ChildId, now: Instant) {
        if let Some(child) = self.find(id) {
            child.leave(Want::Rest);
        }
        self.tick(now);
    }

    /// Ends one child if it runs and starts it afresh, its failures forgotten: somebody who asks has
    /// something repaired.
    pub fn restart_child(&mut self, id: ChildId, now: Instant) {
        if self.course != Course::Running {
            return;
        }
        if let Some(child) = self.find(id).filter(|child| child.want != Want::Gone) {
            child.leave(Want::Run);
            child.consecutive = 0;
            child.backoff.reset();
        }
        self.tick(now);
    }

    /// Ends one child for good.
    pub fn remove(&mut self, id: ChildId, now: Instant) {
        if let Some(child) = self.find(id) {
            child.leave(Want::Gone);
        }
        self.tick(now);
    }

    /// Ends everything in reverse order. No child's grace reaches beyond `within`.
    pub fn stop(&mut self, within: Option<Duration>, now: Instant) {
        let deadline = within.map(|within| now + within);
        if self.course == Course::Over {
            return;
        }
        self.course = Course::Stopping { deadline };
        self.let_all_leave();
        for child in &mut self.children {
            if let (
                Phase::Stopping {
                    force_at: Some(force_at),
                },
                Some(deadline),
            ) = (&mut child.phase, deadline)
            {
                *force_at = (*force_at).min(deadline);
            }
        }
        self.tick(now);
    }

    /// Does what has become due.
    pub fn tick(&mut self, now: Instant) {
        self.wait_no_longer(now);
        self.stop_those_who_leave(now);
        self.force_the_late(now);
        self.forget_the_gone();
        self.start_those_who_may(now);
        self.come_to_an_end();
    }

    fn wait_no_longer(&mut self, now: Instant) {
        for child in &mut self.children {
            // What is due is due; kept, the time would make `wake_at` ask for a tick again and again while the
            // child waits for its turn.
            child.not_before = child.not_before.filter(|at| *at > now);
            child.tried |= child.patience_ends_at().is_some_and(|at| at <= now);
        }
    }

    fn stop_those_who_leave(&mut self, now: Instant) {
        let deadline = match self.course {
            Course::Stopping { deadline } => deadline,
            _ => None,
        };
        // A stage is asked to leave only when nothing above it is still leaving.
        let Some(stage) = self
            .children
            .iter()
            .rev()
            .find(|child| child.leaving)
            .map(|child| child.spec.stage)
        else {
            return;
        };
        for child in self.children.iter_mut().rev() {
            if child.spec.stage == stage && child.leaving && child.runs() {
                let grace_over = now + child.spec.grace;
                let force_at = deadline.map_or(grace_over, |deadline| deadline.min(grace_over));
                child.phase = Phase::Stopping {
                    force_at: Some(force_at),
                };
                let leave = if child.want == Want::Run {
                    Leave::ForNow
                } else {
                    Leave::ForGood
                };
                self.commands.push_back(Command::Stop(child.id, leave));
            }
        }
    }

    fn force_the_late(&mut self, now: Instant) {
        for child in self.children.iter_mut().rev() {
            if let Phase::Stopping { force_at } = &mut child.phase
                && force_at.is_some_and(|at| at <= now)
            {
                *force_at = None;
                self.commands.push_back(Command::Force(child.id));
            }
            if child.late_at().is_some_and(|at| at <= now) {
                child.late = true;
                if let BootLimit::Forced(_) = child.spec.boot {
                    self.commands.push_back(Command::EndBoot(child.id));
                }
            }
        }
    }

    fn forget_the_gone(&mut self) {
        let commands = &mut self.commands;
        self.children.retain(|child| {
            let forget = child.want == Want::Gone && child.is_down();
            if forget {
                commands.push_back(Command::Forget(child.id));
            }
            !forget
        });
    }

    fn start_those_who_may(&mut self, now: Instant) {
        if self.course != Course::Running {
            return;
        }
        let group_leaves = self.policy.strategy != Strategy::OneForOne
            && self.children.iter().any(|child| child.leaving);
        if group_leaves {
            return;
        }
        let mut open_stage = None;
        for child in &mut self.children {
            // A lower stage that is not settled holds this one back.
            if open_stage.is_some_and(|open| open < child.spec.stage) {
                break;
            }
            if child.is_down() && child.want == Want::Run && child.not_before.is_none() {
                child.phase = Phase::Starting { since: now };
                child.generation += 1;
                self.commands.push_back(Command::Start(child.id));
            }
            if child.want == Want::Run && !child.tried {
                open_stage = Some(child.spec.stage);
            }
        }
    }

    fn come_to_an_end(&mut self) {
        let command = match self.course {
            Course::Stopping { .. } => Command::Stopped,
            Course::Escalating(escalation) => Command::Escalate(escalation),
            _ => return,
        };
        if self.children.iter().all(Child::is_down) {
            self.course = Course::Over;
            self.commands.push_back(command);
        }
    }

    /// The next thing to do.
    pub fn next_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// When [`tick`](Self::tick) has something to do next.
    pub fn wake_at(&self) -> Option<Instant> {
        self.children
            .iter()
            .filter_map(|child| self.child_wakes_at(child))
            .min()
    }

    fn child_wakes_at(&self, child: &Child) -> Option<Instant> {
        match child.phase {
            Phase::Down if child.want == Want::Run && self.course == Course::Running => {
                child.not_before
            }
            Phase::Starting { .. } => {
                let late_at = child.late_at();
                late_at.into_iter().chain(child.patience_ends_at()).min()
            }
            Phase::Stopping { force_at } => force_at,
            _ => None,
        }
    }

    /// Where the child is.
    pub fn phase(&self, id: ChildId) -> Option<Phase> {
        self.get(id).map(|child| child.phase)
    }

    /// The limit that the child's start has passed, if it starts and is late.
    pub fn late(&self, id: ChildId) -> Option<BootLimit> {
        let child = self.get(id)?;
        let starts = matches!(child.phase, Phase::Starting { .. });
        (starts && child.late).then_some(child.spec.boot)
    }

    /// The child's current or latest start, counted from 1.
    pub fn generation(&self, id: ChildId) -> u64 {
        self.get(id).map_or(0, |child| child.generation)
    }

    /// When a child that is down starts again, if a time is set.
    pub fn starts_at(&self, id: ChildId) -> Option<Instant> {
        self.get(id)
            .filter(|child| child.is_down() && child.want == Want::Run)?
            .not_before
    }

    /// True from its start until it stops or gives up.
    pub fn is_running(&self) -> bool {
        self.course == Course::Running
    }

    /// True when the child is down, or on its way there, and not to come back.
    pub fn rests(&self, id: ChildId) -> bool {
        self.get(id).is_none_or(|child| child.want != Want::Run)
    }

    /// The children's failures, if too many of them would matter.
    pub fn failures(&self) -> Option<&Window> {
        self.window.as_ref()
    }

    /// The policy it was made with.
    pub fn policy(&self) -> Policy {
        self.policy
    }

    /// Children in starting order.
    pub fn children(&self) -> impl Iterator<Item = ChildId> + '_ {
        self.children.iter().map(|child| child.id)
    }

    fn get(&self, id: ChildId) -> Option<&Child> {
        self.position(id).map(|place| &self.children[place])
    }

    fn find(&mut self, id: ChildId) -> Option<&mut Child> {
        self.position(id).map(|place| &mut self.children[place])
    }

    /// Quick when the children are in the order of their numbers, as they are within a stage: a thousand sites are
    /// looked up for each other's every step.
    fn position(&self, id: ChildId) -> Option<usize> {
        let place = self.children.binary_search_by_key(&id, |child| child.id);
        // In another order, what is not found by halves may be there all the same.
        let anywhere = || self.children.iter().position(|child| child.id == id);
        place.ok().or_else(anywhere)
    }
}

#[cfg(test)]
#[path = "supervisor_tests/mod.rs"]
mod tests;
