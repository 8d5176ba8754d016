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

    pub fn set(&self, worker: NodeId, control: Arc<dyn Control>) {
        self.lock().insert(worker, control);
    }

    pub fn clear(&self, worker: &NodeId) {
        self.lock().remove(worker);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<NodeId, Arc<dyn Control>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
