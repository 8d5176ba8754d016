//! The tree as it is known right now, and the feed of its changes.
//!
//! Every actor owns an [`Entry`], writes its facts there, and leaves the tree by dropping it: dead, stopped or
//! panicked, no node outlives its owner. Readers take no part in the actors' conversation, so the tree can be
//! read while every mailbox is full and every PHP thread is stuck.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Instant, SystemTime};

use tokio::sync::broadcast;

use super::id::NodeId;
use super::node::{Facts, Failures, Kind, Live, Node, State};
use crate::supervision::Window;

/// Changes a slow listener may fall behind before it misses some.
const FEED_CAPACITY: usize = 256;

/// Tasks come and go too fast to be told to listeners one by one; they are there when the tree is read.
fn is_told(kind: Kind) -> bool {
    kind != Kind::Task
}

/// Reads what changes with every request.
pub type Probe = Arc<dyn Fn() -> Live + Send + Sync>;

/// One change.
#[derive(Debug, Clone)]
pub enum Change {
    /// The node is new or differs; its children are left out.
    Changed(Arc<Node>),
    /// The node is gone.
    Removed(NodeId),
    /// So many changes were missed by a listener that was too slow: read the tree again.
    Missed(u64),
}

/// A listener's end of the feed.
pub struct Feed(broadcast::Receiver<Change>);

impl Feed {
    /// The next change; `None` when the tree is gone.
    pub async fn next(&mut self) -> Option<Change> {
        match self.0.recv().await {
            Ok(change) => Some(change),
            Err(broadcast::error::RecvError::Lagged(missed)) => Some(Change::Missed(missed)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

struct Known {
    /// Which entry speaks for it.
    serial: u64,
    kind: Kind,
    name: String,
    parent: Option<NodeId>,
    /// By the serial of their entries: in the order they were added.
    children: BTreeMap<u64, NodeId>,
    facts: Facts,
    probe: Option<Probe>,
}

struct Inner {
    known: Mutex<HashMap<NodeId, Known>>,
    entries: AtomicU64,
    feed: broadcast::Sender<Change>,
}

/// A handle to the tree; clones are handles to the same one.
#[derive(Clone)]
pub struct Tree {
    inner: Arc<Inner>,
}

impl Default for Tree {
    fn default() -> Self {
        let (feed, _) = broadcast::channel(FEED_CAPACITY);
        Self {
            inner: Arc::new(Inner {
                known: Mutex::default(),
                entries: AtomicU64::new(0),
                feed,
            }),
        }
    }
}

impl Tree {
    /// Adds a node. An older node of the same id makes way: its entry then no longer speaks for anybody.
    pub fn enter(&self, id: NodeId, kind: Kind, name: &str, parent: Option<&NodeId>) -> Entry {
        let serial = self.inner.entries.fetch_add(1, Ordering::Relaxed);
        {
            let mut known = self.known();
            let node = Known {
                serial,
                kind,
                name: name.to_owned(),
                parent: parent.cloned(),
                children: BTreeMap::new(),
                facts: Facts::new(State::Starting),
                probe: None,
            };
            let older = known.insert(id.clone(), node);
            if let Some(parent) = parent.and_then(|parent| known.get_mut(parent)) {
                if let Some(older) = older {
                    parent.children.remove(&older.serial);
                }
                parent.children.insert(serial, id.clone());
            }
        }
        self.tell(&id);
        Entry {
            tree: self.clone(),
            id,
            serial,
        }
    }

    /// The node with everything below it; `None` when there is no such node.
    pub fn node(&self, id: &NodeId) -> Option<Node> {
        let (mut node, children) = self.one(id)?;
        node.children = children
            .iter()
            .filter_map(|child| self.node(child))
            .collect();
        Some(node)
    }

    /// Everything; `None` before the root has entered and after it has left.
    pub fn root(&self) -> Option<Node> {
        self.node(&NodeId::root())
    }

    /// The node's kind, if it exists.
    pub fn kind(&self, id: &NodeId) -> Option<Kind> {
        self.known().get(id).map(|known| known.kind)
    }

    /// Nodes in the tree.
    pub fn len(&self) -> usize {
        self.known().len()
    }

    /// True when nobody is in the tree.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Listens to changes from now on. Read the tree after this call, not before, and nothing is missed.
    pub fn subscribe(&self) -> Feed {
        Feed(self.inner.feed.subscribe())
    }

    /// The node alone, and its children's ids. The probe runs outside the lock.
    fn one(&self, id: &NodeId) -> Option<(Node, Vec<NodeId>)> {
        let now = Instant::now();
        let (mut node, children, probe) = {
            let known = self.known();
            let known = known.get(id)?;
            let facts = &known.facts;
            let node = Node {
                id: id.clone(),
                kind: known.kind,
                name: known.name.clone(),
                parent: known.parent.clone(),
                state: facts.state,
                since: facts.since.1,
                age: now.saturating_duration_since(facts.since.0),
                generation: facts.generation,
                exits: facts.exits.clone(),
                failures: facts.failures.as_ref().map(|window| Failures {
                    in_window: window.count(now),
                    limit: window.intensity().limit,
                    window_s: window.intensity().period.as_secs(),
                }),
                next_start_in: facts.next_start.map(|at| at.saturating_duration_since(now)),
                last_exit: facts.last_exit.clone(),
                current: None,
                served: None,
                memory: None,
                queue: None,
                running: None,
                errand: None,
                children: Vec::new(),
            };
            let children = known.children.values().cloned().collect();
            (node, children, known.probe.clone())
        };
        if let Some(probe) = probe {
            let live = probe();
            node.current = live.current;
            node.served = live.served;
            node.memory = live.memory;
            node.queue = live.queue;
            node.running = live.running;
            node.errand = live.errand;
        }
        Some((node, children))
    }

    fn tell(&self, id: &NodeId) {
        if self.inner.feed.receiver_count() == 0 {
            return;
        }
        if let Some((node, _)) = self.one(id)
            && is_told(node.kind)
        {
            // Every listener may have left meanwhile.
            let _ = self.inner.feed.send(Change::Changed(Arc::new(node)));
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<NodeId, Known>> {
        // A panic under this lock leaves a map that is whole: every change to it is a single step.
        self.inner
            .known
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// An owner's place in the tree.
pub struct Entry {
    tree: Tree,
    id: NodeId,
    serial: u64,
}

impl Entry {
    /// The node's address.
    pub fn id(&self) -> &NodeId {
        &self.id
    }

    /// The tree it is in.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Changes the facts; listeners are told once.
    pub fn update(&self, change: impl FnOnce(&mut Facts)) {
        {
            let mut known = self.tree.known();
            let Some(known) = self.mine(&mut known) else {
                return;
            };
            let state = known.facts.state;
            change(&mut known.facts);
            if known.facts.state != state {
                known.facts.since = (Instant::now(), SystemTime::now());
            }
        }
        self.tree.tell(&self.id);
    }

    /// Moves to another state of life.
    pub fn state(&self, state: State) {
        self.update(|facts| facts.state = state);
    }

    /// Counts an exit of a child; exits are too frequent to tell listeners about twice.
    pub(crate) fn count_exit(&self, reason: &'static str) {
        if let Some(known) = self.mine(&mut self.tree.known()) {
            *known.facts.exits.entry(reason).or_default() += 1;
        }
    }

    /// Notes a supervisor's window; told with the next change, which the failure itself brings about.
    pub(crate) fn note_failures(&self, failures: &Window) {
        if let Some(known) = self.mine(&mut self.tree.known()) {
            known.facts.failures = Some(failures.clone());
        }
    }

    /// Says where to read what changes with every request.
    pub fn probe(&self, probe: Option<Probe>) {
        let old = match self.mine(&mut self.tree.known()) {
            Some(known) => std::mem::replace(&mut known.probe, probe),
            None => probe,
        };
        // Dropped outside the lock: it may own the last handle to something whose drop takes locks.
        drop(old);
    }

    fn mine<'a>(&self, known: &'a mut HashMap<NodeId, Known>) -> Option<&'a mut Known> {
        known
            .get_mut(&self.id)
            .filter(|known| known.serial == self.serial)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let gone = {
            let mut known = self.tree.known();
            if self.mine(&mut known).is_none() {
                return;
            }
            let gone = known.remove(&self.id);
            let parent = gone.as_ref().and_then(|gone| gone.parent.as_ref());
            if let Some(parent) = parent.and_then(|parent| known.get_mut(parent)) {
                parent.children.remove(&self.serial);
            }
            gone
        };
        let told = gone.as_ref().is_some_and(|gone| is_told(gone.kind));
        // As above: outside the lock.
        drop(gone);
        if !told {
            return;
        }
        // Nobody may be listening.
        let _ = self.tree.inner.feed.send(Change::Removed(self.id.clone()));
    }
}
