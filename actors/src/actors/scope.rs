//! The background workers of one site, as its scripts find them.
//!
//! A name is looked up on a PHP thread: the port of a worker that runs is found here, without a message. A
//! worker that does not run, because nobody asked for it yet or because it could not boot, is summoned: the
//! site's actor is told and the script waits at the port.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use actix::{Message, Recipient};
use troupe_sapi::{BackgroundPort, Scope, ScopeError, TaskHold, TaskObserver, Unavailable};

use super::spec::{BackgroundSpec, PoolSpec};
use super::tasks::Desk;

/// Asks a site for a background worker that does not run.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Summon {
    /// Its name.
    pub name: String,
    /// Its pool runs; its threads came to their end and rest.
    pub rests: bool,
}

pub struct SiteScope {
    declared: HashMap<String, BackgroundSpec>,
    catch_all: Option<BackgroundSpec>,
    desk: Arc<Desk>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    ports: HashMap<String, Arc<BackgroundPort>>,
    /// Names that the catch-all has started.
    caught: usize,
    site: Option<Recipient<Summon>>,
    stopping: bool,
}

impl SiteScope {
    pub fn new(specs: &[BackgroundSpec]) -> Arc<Self> {
        let named = |spec: &BackgroundSpec| Some((spec.name.clone()?, spec.clone()));
        let scope = Self {
            declared: specs.iter().filter_map(named).collect(),
            catch_all: specs.iter().find(|spec| spec.name.is_none()).cloned(),
            desk: Arc::default(),
            state: Mutex::default(),
        };
        for (name, spec) in scope.declared.iter().filter(|(_, spec)| spec.at_boot) {
            scope.lock().ports.insert(name.clone(), open(name, spec));
        }
        Arc::new(scope)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the site's scripts hand their tasks in.
    pub fn desk(&self) -> &Arc<Desk> {
        &self.desk
    }

    /// True when the site has no background workers.
    pub fn is_empty(&self) -> bool {
        self.declared.is_empty() && self.catch_all.is_none()
    }

    /// The site's actor has taken its place. Returns the workers that are to run.
    pub fn attach(&self, site: Recipient<Summon>) -> Vec<String> {
        let mut state = self.lock();
        state.site = Some(site);
        let mut names: Vec<_> = state.ports.keys().cloned().collect();
        names.sort();
        names
    }

    /// The pool of a worker, and its port.
    pub fn pool(&self, name: &str) -> Option<(PoolSpec, Arc<BackgroundPort>)> {
        let spec = self.declared.get(name).or(self.catch_all.as_ref())?;
        let port = self.lock().ports.get(name)?.clone();
        Some((spec.pool(name), port))
    }

    /// No worker is started any more, and nobody waits for one.
    pub fn close(&self) {
        let ports: Vec<_> = {
            let mut state = self.lock();
            state.stopping = true;
            state.site = None;
            state.ports.values().cloned().collect()
        };
        for port in ports {
            port.set_unavailable(&Unavailable::Stopping);
        }
    }
}

fn open(name: &str, spec: &BackgroundSpec) -> Arc<BackgroundPort> {
    let port = BackgroundPort::new(name, spec.scaling.max_threads as usize, spec.max_queue);
    Arc::new(port)
}

impl Scope for SiteScope {
    fn worker(&self, name: &str) -> Result<Arc<BackgroundPort>, ScopeError> {
        let mut state = self.lock();
        if state.stopping {
            return Err(ScopeError::Stopping);
        }
        let mut rests = false;
        let (port, summoned) = match state.ports.get(name) {
            Some(port) => {
                let down = port.tasks.unavailable();
                rests = matches!(down, Some(Unavailable::Ended(_)));
                let failed = rests || matches!(down, Some(Unavailable::CannotBoot(_)));
                if failed {
                    // This call makes a new attempt, and waits for it.
                    port.set_available();
                }
                (port.clone(), failed)
            }
            None => {
                let spec = match (self.declared.get(name), &self.catch_all) {
                    (Some(spec), _) => spec,
                    (None, Some(spec)) if state.caught < spec.max_names => {
                        state.caught += 1;
                        spec
                    }
                    (None, Some(spec)) => {
                        return Err(ScopeError::TooManyNames {
                            name: name.to_owned(),
                            limit: spec.max_names,
                        });
                    }
                    (None, None) if self.declared.is_empty() => {
                        return Err(ScopeError::NoneConfigured);
                    }
                    (None, None) => return Err(ScopeError::NotFound(name.to_owned())),
                };
                let port = open(name, spec);
                state.ports.insert(name.to_owned(), port.clone());
                (port, true)
            }
        };
        if let (true, Some(site)) = (summoned, &state.site) {
            site.do_send(Summon {
                name: name.to_owned(),
                rests,
            });
        }
        Ok(port)
    }

    fn observe(
        &self,
        worker: &str,
        sender: &str,
        task: Weak<dyn TaskHold>,
    ) -> Arc<dyn TaskObserver> {
        let spec = self.declared.get(worker).or(self.catch_all.as_ref());
        let deadline = spec.and_then(|spec| spec.task_deadline);
        self.desk.open(worker, sender, deadline, task)
    }
}
