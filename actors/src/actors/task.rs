//! A task: the actor that owns what a request has handed to a background worker.
//!
//! It owns the task's state, its deadline and the means to end it from outside. The task's two streams hold its
//! address and the ends of the port; what it must know of them (accepted, taken, ended) it is told by messages
//! that nobody waits for. Payload and updates never pass here.
//!
//! ```text
//!   starting ── Accepted ──► queued ── Taken ──► running ── Ended ──► the actor ends
//!                                                   │ deadline: the port is ended, and a worker that
//!                                                   └ still holds its stream a second later is killed
//! ```

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use actix::{Actor, ActorContext, Addr, AsyncContext, Context, Handler, Message, WeakAddr};
use troupe_sapi::{KillReason, TaskHold, TaskObserver, TaskOutcome};

use super::kin::House;
use super::stats::TaskStats;
use super::steer::{Action, Steer, SteerError};
use crate::tree::{Entry, Errand, Kind, Live, NodeId, State};

/// A worker whose task has passed its deadline may let go of it by itself for so long.
const LET_GO: Duration = Duration::from_secs(1);

/// The tasks that live, by number. Each leaves by itself.
pub type Living = Rc<RefCell<BTreeMap<u64, WeakAddr<Task>>>>;

/// What the actor is told by the streams.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub enum Event {
    /// It waits in its worker's queue.
    Accepted,
    /// The thread of that name has taken it.
    Taken(Arc<str>),
    /// It is over.
    Ended,
}

/// What is known of a task when it is sent.
pub struct Sent {
    pub number: u64,
    /// The worker that it is for.
    pub worker: String,
    /// The URI of the request, or the name of the worker, that sent it.
    pub sender: String,
    pub at: Instant,
    /// So long may a worker have it in hand.
    pub deadline: Option<Duration>,
    pub hold: Weak<dyn TaskHold>,
}

pub struct Task {
    house: House,
    sent: Sent,
    living: Living,
    /// `None` for a task that was over before anybody could have seen it.
    entry: Option<Entry>,
    /// The thread that has it.
    thread: Option<Arc<str>>,
    /// Its deadline has passed; it waits for the worker to let go.
    overdue: bool,
}

impl Task {
    /// A task below `tasks`.
    pub fn new(house: House, tasks: &NodeId, sent: Sent, living: Living) -> Self {
        let is_over = sent.hold.upgrade().is_none_or(|task| task.look().is_over);
        let mut task = Self {
            house,
            sent,
            living,
            entry: None,
            thread: None,
            overdue: false,
        };
        if !is_over {
            let id = tasks.task(task.sent.number);
            let entry = task
                .house
                .tree
                .enter(id, Kind::Task, &task.sent.worker, Some(tasks));
            task.entry = Some(entry);
            task.show(State::Starting);
        }
        task
    }

    fn show(&self, state: State) {
        let Some(entry) = &self.entry else { return };
        entry.state(state);
        let hold = self.sent.hold.clone();
        let (sender, at, thread) = (self.sent.sender.clone(), self.sent.at, self.thread.clone());
        entry.probe(Some(Arc::new(move || {
            let look = hold.upgrade().map(|task| task.look());
            Live {
                errand: Some(Errand {
                    sender: sender.clone(),
                    worker: thread.as_ref().map(|thread| NodeId::parse(thread)),
                    age: at.elapsed(),
                    updates_sent: look.map_or(0, |look| look.sent),
                    updates_read: look.map_or(0, |look| look.read),
                }),
                ..Live::default()
            }
        })));
    }

    fn end(&self, outcome: TaskOutcome) -> bool {
        self.sent
            .hold
            .upgrade()
            .is_some_and(|task| task.end(outcome))
    }

    fn deadline_passed(&mut self, limit: Duration, ctx: &mut Context<Self>) {
        self.overdue = self.end(TaskOutcome::Overdue(limit));
        if !self.overdue {
            return;
        }
        tracing::warn!(
            worker = self.sent.worker,
            thread = self.thread.as_deref(),
            sender = self.sent.sender,
            ?limit,
            "a task ran for longer than its deadline"
        );
        ctx.run_later(LET_GO, |task, ctx| {
            task.interrupt();
            ctx.stop();
        });
    }

    /// Ends the script that does not let go of the task. The look at the thread comes first: a script that still
    /// holds the task after it is the one that was looked at, since no task outlives the run that took it.
    fn interrupt(&self) {
        let thread = self.thread.as_deref().map(NodeId::parse);
        let Some(control) = thread.and_then(|thread| self.house.boards.get(&thread)) else {
            return;
        };
        let run = control.status().generation;
        let is_held = |task: Arc<dyn TaskHold>| task.look().is_held;
        if self.sent.hold.upgrade().is_some_and(is_held) {
            control.kill_run(KillReason::Deadline, run);
        }
    }
}

impl Actor for Task {
    type Context = Context<Self>;
}

impl Handler<Event> for Task {
    type Result = ();

    fn handle(&mut self, event: Event, ctx: &mut Context<Self>) {
        match event {
            // A thread may have been quicker.
            Event::Accepted if self.thread.is_none() => self.show(State::Queued),
            Event::Accepted => {}
            Event::Taken(thread) => {
                self.thread = Some(thread);
                self.show(State::Running);
                if let Some(limit) = self.sent.deadline {
                    ctx.run_later(limit, move |task, ctx| task.deadline_passed(limit, ctx));
                }
            }
            Event::Ended if self.overdue => self.entry = None,
            Event::Ended => ctx.stop(),
        }
    }
}

impl Handler<Steer> for Task {
    type Result = ();

    fn handle(&mut self, steer: Steer, _: &mut Context<Self>) {
        let result = match steer.action {
            Action::Cancel if self.end(TaskOutcome::Revoked) => Ok(()),
            // It has just ended by itself.
            Action::Cancel => Err(SteerError::NotFound(steer.target)),
            Action::Restart | Action::Drain | Action::Kill | Action::Await => {
                Err(SteerError::Unfit(steer.target))
            }
        };
        // Whoever asked may no longer wait.
        let _ = steer.reply.send(result);
    }
}

impl Drop for Task {
    /// A task never outlives its actor, should that have panicked or lost its supervisor.
    fn drop(&mut self) {
        self.living.borrow_mut().remove(&self.sent.number);
        self.end(TaskOutcome::Aborted);
    }
}

/// A task's address, as its streams hold it.
pub struct Address {
    pub task: Addr<Task>,
    pub stats: Arc<TaskStats>,
    pub sent: Instant,
    pub taken: OnceLock<Instant>,
}

impl TaskObserver for Address {
    fn accepted(&self) {
        self.task.do_send(Event::Accepted);
    }

    fn taken(&self, worker: &Arc<str>) {
        let now = *self.taken.get_or_init(Instant::now);
        self.stats.taken(now.saturating_duration_since(self.sent));
        self.task.do_send(Event::Taken(worker.clone()));
    }

    fn ended(&self, outcome: &TaskOutcome) {
        self.stats
            .ended(outcome, self.taken.get().map(Instant::elapsed));
        self.task.do_send(Event::Ended);
    }
}
