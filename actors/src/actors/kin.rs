//! What parents and children say to each other; the same words at every level of the tree.
//!
//! A parent gives [`Order`]s, a child answers with [`Word`]s. Each word carries the child's number and its life
//! (a number no other actor of that parent ever had), so that the last words of a dead actor are never taken
//! for its successor's.

use std::sync::Arc;

use actix::{Message, Recipient};

use super::boards::Boards;
use super::census::Census;
use super::steer::Steer;
use super::thread::Spawn;
use crate::supervision::{ChildId, Exit, Leave};
use crate::tree::{Entry, Tree};

/// From a parent to a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub enum Order {
    /// Begin, or begin again.
    Start,
    /// Finish what is being done and end. `Leave::ForNow`: a `Start` follows soon, the actor stays.
    Leave(Leave),
    /// The grace is over: end what runs by force.
    Force,
    /// The start took too long: end it by force unless it is over.
    EndBoot,
    /// The parent is gone without having said goodbye: end at once.
    Orphaned,
}

/// What a child has to say.
#[derive(Debug)]
pub enum Said {
    /// It is ready.
    Ready,
    /// What the server's scripts have loaded is out of date: `opcache_reset()` was called below.
    Outdated,
    /// It ended and has begun again by itself.
    Relaunched(Exit),
    /// It ended.
    Exited {
        /// How.
        exit: Exit,
        /// The actor ends as well: the next start needs a new one.
        over: bool,
    },
    /// The actor is no more; with the message of its panic.
    Gone(Option<String>),
}

/// From a child to its parent.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Word {
    /// Who speaks.
    pub child: ChildId,
    /// In which life.
    pub life: u64,
    /// What it says.
    pub said: Said,
}

/// A child's way to speak to its parent.
#[derive(Clone)]
pub struct Words {
    parent: Recipient<Word>,
    child: ChildId,
    life: u64,
}

impl Words {
    pub fn new(parent: Recipient<Word>, child: ChildId, life: u64) -> Self {
        Self {
            parent,
            child,
            life,
        }
    }

    /// Says something. A parent that is gone needs no answer: its children are told by their [`Link`]s.
    pub fn say(&self, said: Said) {
        self.parent.do_send(Word {
            child: self.child,
            life: self.life,
            said,
        });
    }
}

/// What all actors of one tree share.
#[derive(Clone)]
pub struct House {
    pub tree: Tree,
    pub census: Census,
    pub boards: Boards,
    /// Where PHP threads come from.
    pub threads: Arc<dyn Spawn>,
}

/// What a new actor gets from its parent.
pub struct Birth {
    pub house: House,
    pub entry: Arc<Entry>,
    pub words: Words,
}

/// A parent's hold of a child. Dropped without a farewell, by a parent that panicked, it tells the child so.
pub struct Link {
    orders: Recipient<Order>,
    steering: Recipient<Steer>,
}

impl Link {
    pub fn new(orders: Recipient<Order>, steering: Recipient<Steer>) -> Self {
        Self { orders, steering }
    }

    pub fn order(&self, order: Order) {
        self.orders.do_send(order);
    }

    pub fn steer(&self, steer: Steer) {
        self.steering.do_send(steer);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.orders.do_send(Order::Orphaned);
    }
}
