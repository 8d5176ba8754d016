//! Scripts that were found lately.
//!
//! What is looked for most is the front controller, on nearly every request of a site. It is looked for
//! on the disk once for each opening of the root (see [`super::document_root`]) and known from then on.
//! Only what exists is remembered, so requests can't fill the memory.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use super::document_root::{Entered, Opening};

/// A script of a site, in CGI's terms.
#[derive(Debug, PartialEq, Eq)]
pub struct ScriptFile {
    pub document_root: PathBuf,
    pub script_filename: PathBuf,
    pub script_name: Vec<u8>,
    /// The site's worker that serves it, by index.
    pub worker: Option<usize>,
}

#[derive(Debug, Default)]
pub struct Scripts(RwLock<Known>);

#[derive(Debug, Default)]
struct Known {
    of: Option<Opening>,
    by_name: BTreeMap<Vec<u8>, Arc<ScriptFile>>,
}

impl Scripts {
    /// The script of this name, if it was found in this opening of the root.
    pub fn find(&self, name: &[u8], root: &Entered<'_>) -> Option<Arc<ScriptFile>> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let opening = known.of.as_ref()?;
        (root.is_of(opening)).then(|| known.by_name.get(name).cloned())?
    }

    pub fn remember(&self, script: ScriptFile, root: &Entered<'_>) -> Arc<ScriptFile> {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if !known.of.as_ref().is_some_and(|opening| root.is_of(opening)) {
            *known = Known {
                of: Some(root.opening()),
                by_name: BTreeMap::new(),
            };
        }
        let script = Arc::new(script);
        let name = script.script_name.clone();
        known.by_name.insert(name, script.clone());
        script
    }
}
