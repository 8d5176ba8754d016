//! Snapshots that a script has been given, kept alive for as long as it may look at them.
//!
//! A request in classic mode uses the first snapshot of a name in place: PHP counts no references there, so it
//! stays until the request has been shut down. Whatever is published after that, and everything in a script
//! that stays, is copied once into the thread's memory; then only the last one of each name is kept, by whose
//! address the shim knows that its copy still holds. So a script that reads for hours keeps a bounded number.

use std::sync::Arc;

use php_sys::troupe_snapshot;

use super::Value;

#[derive(Default)]
pub(crate) struct Pins {
    names: Vec<Pinned>,
    /// Replaced while the shim may still be copying them: an autoloader that reads in the midst of a read.
    pub(crate) outdated: Vec<Arc<Value>>,
    /// What the shim compares with what shall be published.
    pub(crate) compared: Option<Arc<Value>>,
}

struct Pinned {
    name: String,
    in_place: Option<Arc<Value>>,
    copied: Option<Arc<Value>>,
}

impl Pins {
    /// Keeps `value` alive and says how the shim may use it.
    pub(crate) fn pin(&mut self, name: &str, value: Arc<Value>, in_place: bool) -> troupe_snapshot {
        let index = self.names.iter().position(|pinned| pinned.name == name);
        let index = index.unwrap_or_else(|| {
            self.names.push(Pinned {
                name: name.to_owned(),
                in_place: in_place.then(|| value.clone()),
                copied: None,
            });
            self.names.len() - 1
        });
        let pinned = &mut self.names[index];
        let pointer = value.as_ptr();
        let is =
            |held: &Option<Arc<Value>>| held.as_ref().is_some_and(|held| Arc::ptr_eq(held, &value));
        let in_place = is(&pinned.in_place);
        if !in_place && !is(&pinned.copied) {
            self.outdated.extend(pinned.copied.replace(value));
        }
        troupe_snapshot {
            value: pointer,
            in_place,
        }
    }
}
