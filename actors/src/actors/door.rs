//! Where a pool's work comes in, and what its workers share.

use std::sync::Arc;

use tokio::sync::Semaphore;
use troupe_sapi::{BackgroundPort, Scope, Unavailable};

use super::port::{Outage, PoolPort};
use super::spec::PoolSpec;
use super::stats::TaskStats;
use crate::supervision::Detail;

/// Where a pool's work comes in. It outlives the pool's actor.
#[derive(Clone)]
pub enum Door {
    /// HTTP requests.
    Requests {
        port: PoolPort,
        /// The background workers that a worker script may use; requests bring their own.
        scope: Option<Arc<dyn Scope>>,
    },
    /// The tasks and readers of a background worker.
    Tasks {
        port: Arc<BackgroundPort>,
        /// The workers that its scripts may use in turn.
        scope: Arc<dyn Scope>,
        /// What is counted of its tasks.
        stats: Arc<TaskStats>,
    },
}

impl Door {
    /// What waits, and how much may.
    pub fn queue(&self) -> (usize, usize) {
        match self {
            Self::Requests { port, .. } => (port.waiting(), port.capacity()),
            Self::Tasks { port, .. } => (port.tasks.len(), port.tasks.capacity()),
        }
    }

    /// Tasks that its workers have in hand.
    pub fn running(&self) -> Option<u64> {
        match self {
            Self::Requests { .. } => None,
            Self::Tasks { stats, .. } => Some(stats.running()),
        }
    }

    /// What waits for a thread, whoever waits to be let in included.
    pub fn demand(&self) -> usize {
        match self {
            Self::Requests { port, .. } => port.waiting(),
            Self::Tasks { port, .. } => port.tasks.demand(),
        }
    }

    /// A worker is ready.
    pub fn open(&self) {
        match self {
            Self::Requests { port, .. } => port.open(),
            Self::Tasks { port, .. } => port.set_available(),
        }
    }

    /// The pool is down: it failed, and will be tried again.
    pub fn shut(&self, outage: Outage) {
        match self {
            Self::Requests { port, .. } => port.shut(outage),
            Self::Tasks { port, .. } => {
                port.set_unavailable(&Unavailable::CannotBoot(outage.reason));
            }
        }
    }

    /// Its threads have ended and are not started again by themselves. Only background workers end like that:
    /// who needs one again summons it.
    pub fn rest(&self, why: &Detail) {
        if let Self::Tasks { port, .. } = self {
            port.set_unavailable(&Unavailable::Ended(why.to_string()));
        }
    }

    /// The pool ends for good.
    pub fn close(&self, outage: Outage) {
        match self {
            Self::Requests { port, .. } => port.shut(outage),
            Self::Tasks { port, .. } => {
                port.set_unavailable(&Unavailable::Stopped);
                port.vars.clear();
            }
        }
    }
}

/// What a worker shares with its pool.
#[derive(Clone)]
pub struct Post {
    pub spec: Arc<PoolSpec>,
    pub door: Door,
    /// So many workers may be away for recycling at once.
    pub recycling: Arc<Semaphore>,
}
