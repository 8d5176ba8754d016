//! A site's tasks: the desk where scripts hand them in, and the actor that has them for children.
//!
//! A script does not wait for its task's actor. It makes the mailbox and keeps the address; the [`Desk`] collects
//! what is to live behind it, and [`Tasks`] brings the actors to life, many at a time. A task that is shorter than
//! a look at the desk finds its whole life in its mailbox. So a busy server wakes the actors' thread a few hundred
//! times a second, however many tasks there are. Where tasks end faster than actors can be made of them, those that
//! are over make room: the desk's backlog is bounded by the tasks that are open.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use actix::dev::channel::{AddressReceiver, channel};
use actix::{
    Actor, ActorContext, Addr, AsyncContext, Context, Handler, Message, Recipient, WeakAddr,
};
use troupe_sapi::{TaskHold, TaskObserver};

use super::guard;
use super::kin::{Birth, House, Link, Order, Said, Words};
use super::stats::TaskStats;
use super::steer::{Action, Steer, SteerError};
use super::task::{Address, Living, Sent, Task};
use crate::supervision::{Cause, Detail, Exit};
use crate::tree::{Entry, NodeId};

/// Between two looks at the desk while tasks come in.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// Messages that may wait in a task's mailbox before it lives: more than there can be.
const MAILBOX: usize = 16;

/// So many tasks may wait at the desk; beyond it, those that are over need no actor any more.
const BACKLOG: usize = 4096;

/// Asks for a look at the desk.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Look;

/// An actor that is to be: its mailbox and what it begins with.
struct Unborn {
    mailbox: AddressReceiver<Task>,
    sent: Sent,
}

#[derive(Default)]
struct Inner {
    last: u64,
    unborn: Vec<Unborn>,
    /// At this length the backlog is looked through.
    sift_at: usize,
    /// Somebody will look.
    expects_look: bool,
    tasks: Option<Recipient<Look>>,
    stats: HashMap<String, Arc<TaskStats>>,
}

impl Inner {
    /// Lets those go that are over, once the backlog has doubled since the last time.
    fn sift(&mut self) {
        if self.unborn.len() < self.sift_at.max(BACKLOG) {
            return;
        }
        let is_open = |task: Arc<dyn TaskHold>| !task.look().is_over;
        self.unborn
            .retain(|unborn| unborn.sent.hold.upgrade().is_some_and(is_open));
        self.sift_at = 2 * self.unborn.len();
    }

    fn stats_of(&mut self, worker: &str) -> Arc<TaskStats> {
        match self.stats.get(worker) {
            Some(stats) => stats.clone(),
            None => self.stats.entry(worker.to_owned()).or_default().clone(),
        }
    }
}

/// Where scripts hand their tasks in.
#[derive(Default)]
pub struct Desk(Mutex<Inner>);

impl Desk {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a task's mailbox and returns its address.
    pub fn open(
        &self,
        worker: &str,
        sender: &str,
        deadline: Option<Duration>,
        hold: Weak<dyn TaskHold>,
    ) -> Arc<dyn TaskObserver> {
        let at = Instant::now();
        let (address, mailbox) = channel(MAILBOX);
        let mut inner = self.lock();
        let stats = inner.stats_of(worker);
        stats.sent();
        inner.last += 1;
        let sent = Sent {
            number: inner.last,
            worker: worker.to_owned(),
            sender: sender.to_owned(),
            at,
            deadline,
            hold,
        };
        inner.sift();
        inner.unborn.push(Unborn { mailbox, sent });
        let look = if inner.expects_look {
            None
        } else {
            inner.expects_look = inner.tasks.is_some();
            inner.tasks.clone()
        };
        drop(inner);
        if let Some(tasks) = look {
            tasks.do_send(Look);
        }
        Arc::new(Address {
            task: Addr::new(address),
            stats,
            sent: at,
            taken: OnceLock::new(),
        })
    }

    /// What is counted of a worker's tasks, from now on.
    pub fn open_stats(&self, worker: &str) -> Arc<TaskStats> {
        self.lock().stats_of(worker)
    }

    /// What is counted of a worker's tasks, once it runs.
    pub fn stats(&self, worker: &str) -> Option<Arc<TaskStats>> {
        self.lock().stats.get(worker).cloned()
    }

    /// What came in since the last look.
    fn take(&self) -> Vec<Unborn> {
        std::mem::take(&mut self.lock().unborn)
    }

    /// The same, and whether to look again: if not, the next task asks for it.
    fn take_or_rest(&self) -> (Vec<Unborn>, bool) {
        let mut inner = self.lock();
        inner.expects_look = !inner.unborn.is_empty();
        let unborn = std::mem::take(&mut inner.unborn);
        (unborn, inner.expects_look)
    }

    fn attach(&self, tasks: Option<Recipient<Look>>) {
        let mut inner = self.lock();
        inner.expects_look = tasks.is_some();
        inner.tasks = tasks;
    }
}

/// The supervisor of a site's tasks. A task is never restarted: what it was sent for is its sender's to decide.
pub struct Tasks {
    house: House,
    entry: Arc<Entry>,
    words: Words,
    desk: Arc<Desk>,
    living: Living,
}

/// Starts the actor of a site's tasks.
pub fn grow(desk: &Arc<Desk>, birth: Birth) -> Link {
    let desk = desk.clone();
    let words = birth.words.clone();
    let census = birth.house.census.clone();
    let make = |_: &mut Context<Tasks>| {
        let Birth {
            house,
            entry,
            words,
        } = birth;
        Tasks {
            house,
            entry,
            words,
            desk,
            living: Living::default(),
        }
    };
    let address = guard::spawn(&census, make, move |panic| words.say(Said::Gone(panic)));
    Link::new(address.clone().recipient(), address.recipient())
}

impl Tasks {
    fn look(&mut self, ctx: &mut Context<Self>) {
        let (unborn, again) = self.desk.take_or_rest();
        self.bring_to_life(unborn);
        if again {
            ctx.run_later(LOOK_AGAIN, Self::look);
        }
    }

    fn bring_to_life(&mut self, unborn: Vec<Unborn>) {
        for Unborn { mailbox, sent } in unborn {
            let number = sent.number;
            let context = Context::with_receiver(mailbox);
            let (house, living) = (self.house.clone(), self.living.clone());
            let tasks = self.entry.id();
            let make = |_: &mut Context<Task>| Task::new(house, tasks, sent, living);
            let address = guard::spawn_in(context, &self.house.census, make, |_| {});
            self.living.borrow_mut().insert(number, address.downgrade());
        }
    }

    fn find(&self, target: &NodeId) -> Option<Addr<Task>> {
        let number = target.as_str().rsplit(':').next()?.parse().ok()?;
        let named = self.entry.id().task(number) == *target;
        let living = self.living.borrow();
        living
            .get(&number)
            .filter(|_| named)
            .and_then(WeakAddr::upgrade)
    }
}

impl Actor for Tasks {
    type Context = Context<Self>;
}

impl Handler<Order> for Tasks {
    type Result = ();

    fn handle(&mut self, order: Order, ctx: &mut Context<Self>) {
        if order == Order::Start {
            self.desk.attach(Some(ctx.address().recipient()));
            self.words.say(Said::Ready);
            self.look(ctx);
            return;
        }
        // The workers and those who sent the tasks have ended before.
        self.words.say(Said::Exited {
            exit: Exit {
                cause: Cause::Recycled,
                was_ready: true,
                served: 0,
                detail: Detail::reason("stopped"),
            },
            over: true,
        });
        ctx.stop();
    }
}

impl Handler<Look> for Tasks {
    type Result = ();

    fn handle(&mut self, _: Look, ctx: &mut Context<Self>) {
        self.look(ctx);
    }
}

impl Handler<Steer> for Tasks {
    type Result = ();

    fn handle(&mut self, steer: Steer, _: &mut Context<Self>) {
        let unborn = self.desk.take();
        self.bring_to_life(unborn);
        let myself = steer.target == *self.entry.id();
        let result = match (steer.action, self.find(&steer.target)) {
            (_, Some(task)) => {
                task.do_send(steer);
                return;
            }
            // A part of a whole site's restart: there is nothing here that could be out of date.
            (Action::Restart | Action::Kill | Action::Await, None) if myself => Ok(()),
            (Action::Drain | Action::Cancel, None) if myself => {
                Err(SteerError::Unfit(steer.target))
            }
            (_, None) => Err(SteerError::NotFound(steer.target)),
        };
        // Whoever asked may no longer wait.
        let _ = steer.reply.send(result);
    }
}

/// Ends a task whose supervisor is gone.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Orphaned;

impl Handler<Orphaned> for Task {
    type Result = ();

    fn handle(&mut self, _: Orphaned, ctx: &mut Context<Self>) {
        ctx.stop();
    }
}

impl Drop for Tasks {
    /// Ended or panicked: no task goes on without a supervisor.
    fn drop(&mut self) {
        self.desk.attach(None);
        let living = std::mem::take(&mut *self.living.borrow_mut());
        for task in living.values().filter_map(WeakAddr::upgrade) {
            task.do_send(Orphaned);
        }
    }
}

#[cfg(test)]
mod tests {
    use troupe_sapi::task;

    use super::*;

    #[test]
    fn a_desk_that_nobody_looks_at_keeps_the_open_tasks_and_few_that_are_over() {
        let desk = Desk::default();
        let send = || task(1, |hold| desk.open("mailer", "/", None, hold));
        let open: Vec<_> = (0..10).map(|_| send()).collect();
        for _ in 0..3 * BACKLOG {
            drop(send());
        }
        assert!(desk.lock().unborn.len() <= BACKLOG);
        let kept = desk.take();
        let numbers = kept.iter().map(|unborn| unborn.sent.number);
        assert!(numbers.take(10).eq(1..=10));
        assert_eq!(
            desk.open_stats("mailer").ends().cancelled,
            3 * BACKLOG as u64
        );
        drop(open);
    }
}
