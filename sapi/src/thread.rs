//! A PHP thread: one OS thread, one Zend context, driven by a [`Driver`].

use std::ffi::c_void;
use std::sync::mpsc::channel;
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::background::TaskHold;
use crate::background::calls::Backstage;
use crate::background::leash::Leash;
use crate::control::{Doing, Shared, ThreadControl, Title};
use crate::driver::{Driver, Run, WorkerScript};
use crate::engine::STACK;
use crate::request::{Request, RequestBody};
use crate::response::ResponseWriter;
use crate::server_vars::{ServerVars, Text};
use crate::wait::Wait;
use crate::watchdog::Watchdog;

/// A spawned PHP thread.
pub struct PhpThread {
    control: ThreadControl,
    thread: JoinHandle<()>,
}

impl PhpThread {
    /// A handle that may be cloned.
    pub fn control(&self) -> ThreadControl {
        self.control.clone()
    }

    /// True once the OS thread has ended.
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits for the end of the OS thread.
    pub fn join(self) {
        // A panic of the driver has been reported where it happened.
        let _ = self.thread.join();
    }
}

/// The thread's Rust side; the C side holds its address as an opaque pointer.
pub(crate) struct Local {
    /// Its name, as its owner gave it.
    name: String,
    pub(crate) driver: Box<dyn Driver>,
    pub(crate) wait: Wait,
    pub(crate) shared: Arc<Shared>,
    /// The worker script that runs; keeps alive what the shim reads of it.
    pub(crate) script: Option<WorkerScript>,
    pub(crate) request: Option<Current>,
    pub(crate) backstage: Backstage,
    pub(crate) run_started: Instant,
    pub(crate) ready: bool,
    /// What a script without a client has printed, up to the last line break.
    pub(crate) stray: Vec<u8>,
}

/// The request in hand.
pub(crate) struct Current {
    pub(crate) id: u64,
    pub(crate) taken: Instant,
    /// Keeps alive what the shim reads of it.
    pub(crate) held: Held,
    pub(crate) body: RequestBody,
    pub(crate) body_idle_timeout: Option<Duration>,
    /// `None` once the client has its whole answer.
    pub(crate) response: Option<ResponseWriter>,
    pub(crate) write_idle_timeout: Option<Duration>,
    /// Its answer ends with the head: it is one to HEAD, or of a status that has no body.
    pub(crate) bodyless: bool,
    /// The tasks it has sent.
    leash: Option<Arc<Leash>>,
    /// Its script has called `ignore_user_abort(true)`.
    keeps_tasks: bool,
}

impl Current {
    /// Ties a task to this request: it ends when the client leaves, unless the script says otherwise.
    pub(crate) fn tie(&mut self, task: Weak<dyn TaskHold>) {
        // Who has the whole answer is not expected to stay.
        let Some(response) = &self.response else {
            return;
        };
        let keeps = self.keeps_tasks;
        let leash = self.leash.get_or_insert_with(|| {
            let leash = Arc::<Leash>::default();
            leash.keep(keeps);
            response.tie(leash.clone());
            leash
        });
        leash.tie(task);
    }

    /// The script says whether it goes on without its client.
    pub(crate) fn ignore_abort(&mut self, ignores: bool) {
        self.keeps_tasks = ignores;
        if let Some(leash) = &self.leash {
            leash.keep(ignores);
        }
    }
}

/// What became of a request that the driver gave.
enum Take {
    /// It is in hand.
    Taken,
    /// Its client has left; it is dropped.
    Abandoned,
    /// The script is being killed; another thread shall serve it.
    Refused(Box<Request>),
}

/// The strings of a request.
pub(crate) struct Held {
    pub(crate) method: Text,
    pub(crate) uri: Text,
    pub(crate) query: Text,
    pub(crate) script: Text,
    pub(crate) content_type: Option<Text>,
    pub(crate) cookie: Option<Text>,
    pub(crate) authorization: Option<Text>,
    pub(crate) content_length: i64,
    pub(crate) protocol: u32,
    pub(crate) vars: ServerVars,
}

impl Local {
    /// Takes a request in hand, if it can be served.
    fn take(&mut self, request: Box<Request>) -> Take {
        let now = Instant::now();
        self.driver
            .request_begins(now.saturating_duration_since(request.received));
        let title = Title {
            id: request.id,
            method: request.vars.get(request.method),
            uri: request.vars.get(request.uri),
        };
        let breaker = request.response.breaker();
        // SAFETY: the texts are on the heap, where they stay while the request is moved. It is dropped after
        // `step_back` below, or after `end`; see `release`.
        let begins = unsafe {
            self.shared
                .begin_request(title, now, request.deadline, breaker)
        };
        if !begins {
            return Take::Refused(request);
        }
        let request = *request;
        let mut response = request.response;
        if !response.begin() {
            let back = match self.script {
                Some(_) => Doing::Script,
                None => Doing::Idle,
            };
            self.shared.step_back(back, now);
            return Take::Abandoned;
        }
        if self.script.is_none() {
            self.backstage.scope = request.scope;
        }
        self.request = Some(Current {
            id: request.id,
            taken: now,
            bodyless: request.vars.get(request.method) == b"HEAD",
            held: Held {
                method: request.method,
                uri: request.uri,
                query: request.query,
                script: request.script,
                content_type: request.content_type,
                cookie: request.cookie,
                authorization: request.authorization,
                content_length: request.content_length,
                protocol: request.protocol,
                vars: request.vars,
            },
            body: request.body,
            body_idle_timeout: request.body_idle_timeout,
            response: Some(response),
            write_idle_timeout: request.write_idle_timeout,
            leash: None,
            keeps_tasks: false,
        });
        Take::Taken
    }

    /// Lets go of the request in hand, which has ended for `Shared` already: its client gets what there is of its
    /// answer.
    pub(crate) fn release(&mut self, now: Instant) -> Option<Duration> {
        let current = self.request.take()?;
        if let Some(response) = current.response {
            response.finish();
        }
        Some(now.saturating_duration_since(current.taken))
    }

    /// When what is in hand began: the request, or else the script's run.
    pub(crate) fn began(&self) -> Instant {
        let request = self.request.as_ref();
        request.map_or(self.run_started, |current| current.taken)
    }

    /// Asks the driver for the next run whose client is still there.
    pub(crate) fn next_run(&mut self) -> bool {
        loop {
            match self.driver.next_run(&self.wait) {
                None => return false,
                Some(Run::Script(mut script)) => {
                    self.backstage.scope = script.scope.take();
                    self.backstage.own = script.background.take();
                    self.run_started = Instant::now();
                    self.shared.begin_script(self.run_started);
                    self.script = Some(script);
                    self.ready = false;
                    return true;
                }
                Some(Run::Request(request)) => match self.take(request) {
                    Take::Taken => {
                        self.run_started = self.began();
                        return true;
                    }
                    Take::Abandoned => {}
                    Take::Refused(request) => self.driver.put_back(request),
                },
            }
        }
    }

    /// A background worker became ready: it takes its place at its port, and a drain reaches it there.
    pub(crate) fn take_place(&mut self) {
        if let Some((own, _)) = &self.backstage.own {
            let place = own.tasks.place(&self.name);
            self.shared.hold(Arc::new(place.stopper()));
            self.backstage.place = Some(place);
        }
    }

    /// Who is asking, for reports: the request's URI or the worker's name.
    pub(crate) fn who(&self) -> String {
        let request = self.request.as_ref().map(|current| &current.held);
        let uri = request.map(|held| held.vars.get(held.uri));
        let name = uri.or_else(|| Some(self.script.as_ref()?.name.as_bytes()));
        String::from_utf8_lossy(name.unwrap_or_default()).into_owned()
    }

    /// Asks the driver for the next request whose client is still there. A script that is being killed gets
    /// none.
    pub(crate) fn next_request(&mut self) -> bool {
        while let Some(request) = self.driver.next_request(&self.wait) {
            match self.take(request) {
                Take::Taken => return true,
                Take::Abandoned => {}
                Take::Refused(request) => {
                    self.driver.put_back(request);
                    return false;
                }
            }
        }
        false
    }
}

pub(crate) fn spawn(
    name: &str,
    watchdog: Arc<Watchdog>,
    make_driver: impl FnOnce() -> Box<dyn Driver> + Send + 'static,
) -> std::io::Result<PhpThread> {
    let (sender, receiver) = channel();
    let own_name = name.to_owned();
    let body = move || {
        let wait = Wait::for_this_thread();
        let shared = Arc::new(Shared::new(wait.parker(), watchdog.clone()));
        watchdog.watch(&shared);
        if sender
            .send(ThreadControl {
                shared: shared.clone(),
            })
            .is_err()
        {
            return;
        }
        let mut local = Local {
            name: own_name,
            driver: make_driver(),
            wait,
            shared,
            script: None,
            request: None,
            backstage: Backstage::default(),
            run_started: Instant::now(),
            ready: false,
            stray: Vec::new(),
        };
        // SAFETY: PHP is up, since an `Engine` is needed to get here; `local` outlives the call and is used
        // through this pointer only until it returns. No destructor stands between this frame and C: the
        // shim's jumps end inside `troupe_thread_main`.
        unsafe { php_sys::troupe_thread_main((&raw mut local).cast::<c_void>()) };
    };
    let thread = std::thread::Builder::new()
        .name(name.to_owned())
        .stack_size(STACK)
        .spawn(body)?;
    match receiver.recv() {
        Ok(control) => Ok(PhpThread { control, thread }),
        Err(_) => Err(std::io::Error::other(
            "the thread died before it could be reached",
        )),
    }
}
