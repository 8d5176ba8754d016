//! Where each worker leaves the hold of its PHP thread, under its node's id: its pool reads it to see who is
//! idle, an operator to see what it runs. To look is all they do with it; what changes a thread is a message to
//! its worker.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::thread::Control;
use crate::tree::NodeId;

/// The boards of one tree; clones are handles to the same ones.
#[derive(Clone, Default)]
pub struct Boards(Arc<Mutex<HashMap<NodeId, Arc<dyn Control>>>>);

impl Boards {
    /// The thread of a worker, while it has one.
    pub fn get(&self, worker: &NodeId) -> Option<Arc<dyn Control>> {
        self.lock().get(worker).cloned()
    }

    /// Leaves the hold of a worker's thread here until the answer is dropped. A later worker of the same id
    /// may have taken the place by then; it keeps it.
    pub fn post(&self, worker: NodeId, control: Arc<dyn Control>) -> Posted {
        self.lock().insert(worker.clone(), control.clone());
        Posted {
            boards: self.clone(),
            worker,
            control,
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<NodeId, Arc<dyn Control>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A hold that can be read on its board.
pub struct Posted {
    boards: Boards,
    worker: NodeId,
    control: Arc<dyn Control>,
}

impl Drop for Posted {
    fn drop(&mut self) {
        let mut boards = self.boards.lock();
        if boards
            .get(&self.worker)
            .is_some_and(|held| Arc::ptr_eq(held, &self.control))
        {
            boards.remove(&self.worker);
        }
    }
}
