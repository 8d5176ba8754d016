//! Background workers and tasks between PHP threads driven by hand.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall fail")]

mod common;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, Weak};

use common::{answer, c, engine, path_text, request, script_path};
use troupe_sapi::*;

/// A site whose workers are all `background.php`, started when first asked for.
#[derive(Default)]
struct Site {
    workers: Mutex<HashMap<String, Arc<BackgroundPort>>>,
    threads: Mutex<Vec<PhpThread>>,
    outcomes: Mutex<Vec<TaskOutcome>>,
    exits: Arc<Mutex<Vec<ScriptExit>>>,
    this: OnceLock<Weak<Site>>,
}

impl Site {
    fn new() -> Arc<Self> {
        let site = Arc::new(Self::default());
        site.this.set(Arc::downgrade(&site)).unwrap();
        site
    }

    fn start(&self, name: &str) -> Arc<BackgroundPort> {
        let port = Arc::new(BackgroundPort {
            name: name.to_owned(),
            threads: 1,
            vars: Vars::default(),
            tasks: TaskQueue::new(2),
        });
        let driver = Once {
            port: port.clone(),
            done: false,
            exits: self.exits.clone(),
        };
        let thread = engine()
            .spawn_thread(name, move || Box::new(driver))
            .unwrap();
        self.threads.lock().unwrap().push(thread);
        port
    }

    fn stop(&self) {
        for thread in self.threads.lock().unwrap().drain(..) {
            thread.control().drain();
            thread.join();
        }
    }
}

impl Scope for Site {
    fn worker(&self, name: &str) -> Result<Arc<BackgroundPort>, ScopeError> {
        if name == "nobody" {
            return Err(ScopeError::NotFound(name.to_owned()));
        }
        let mut workers = self.workers.lock().unwrap();
        Ok(workers
            .entry(name.to_owned())
            .or_insert_with(|| self.start(name))
            .clone())
    }

    fn observe(
        &self,
        _worker: &str,
        _sender: &str,
        _task: Weak<dyn TaskHold>,
    ) -> Arc<dyn TaskObserver> {
        Arc::new(Observer(self.this.get().unwrap().upgrade().unwrap()))
    }
}

struct Observer(Arc<Site>);

impl TaskObserver for Observer {
    fn accepted(&self) {}
    fn taken(&self, _worker: &Arc<str>) {}
    fn ended(&self, outcome: &TaskOutcome) {
        self.0.outcomes.lock().unwrap().push(outcome.clone());
    }
}

/// Runs the background script once.
struct Once {
    port: Arc<BackgroundPort>,
    done: bool,
    exits: Arc<Mutex<Vec<ScriptExit>>>,
}

impl Driver for Once {
    fn next_run(&mut self, _wait: &Wait) -> Option<Run> {
        if std::mem::replace(&mut self.done, true) {
            return None;
        }
        Some(Run::Script(WorkerScript {
            kind: WorkerKind::Background,
            name: c(&self.port.name),
            script: path_text(&script_path("background.php")),
            vars: ServerVars::new(),
            scope: None,
            background: Some((self.port.clone(), self.port.vars.begin_life())),
        }))
    }

    fn next_request(&mut self, _wait: &Wait) -> Option<Box<Request>> {
        None
    }

    fn put_back(&mut self, _request: Box<Request>) {}

    fn script_ready(&mut self) {}

    fn request_ended(&mut self, _end: RequestEnd) {}

    fn run_ended(&mut self, end: ScriptEnd) {
        self.exits.lock().unwrap().push(end.exit);
    }
}

/// A classic thread that answers one request after another.
struct Classic(Seat<Box<Request>>);

impl Driver for Classic {
    fn next_run(&mut self, wait: &Wait) -> Option<Run> {
        wait.until(Heed::Drain, None, |cx| self.0.poll_pop(cx))
            .ok()
            .flatten()
            .map(Run::Request)
    }

    fn next_request(&mut self, _wait: &Wait) -> Option<Box<Request>> {
        None
    }

    fn put_back(&mut self, request: Box<Request>) {
        self.0.put_back(request);
    }

    fn script_ready(&mut self) {}

    fn request_ended(&mut self, _end: RequestEnd) {}

    fn run_ended(&mut self, _end: ScriptEnd) {}
}

/// The JSON that `asks.php` answers, and how the tasks ended.
fn ask(what: &str) -> (String, Vec<TaskOutcome>) {
    let (body, site) = ask_of(what);
    let outcomes = std::mem::take(&mut *site.outcomes.lock().unwrap());
    (body, outcomes)
}

/// The JSON that `asks.php` answers, and the site it asked, whose workers have been stopped.
fn ask_of(what: &str) -> (String, Arc<Site>) {
    let site = Site::new();
    let queue = JobQueue::new(1);
    let seat = queue.seat();
    let thread = engine()
        .spawn_thread("classic", move || Box::new(Classic(seat)))
        .unwrap();
    let (mut job, mut reader) = request("asks.php", &format!("do={what}"));
    job.scope = Some(site.clone());
    assert!(queue.push(job, |_| false).is_ok());
    let (status, body) = answer(&mut reader);
    assert_eq!(status, 200, "{body}");
    thread.control().drain();
    thread.join();
    site.stop();
    (body, site)
}

#[test]
fn a_request_reads_what_a_worker_published() {
    let expected = r#"{"n":1,"pi":3.5,"bytes":"a\u0000b","on":true,"none":null,"list":[1,[2,[]]],"argv":["SCRIPT","config"],"background":true}"#;
    let script = path_text(&script_path("background.php"))
        .into_string()
        .unwrap()
        .replace('/', "\\/");
    assert_eq!(ask("vars").0, expected.replace("SCRIPT", &script));
}

#[test]
fn what_a_reader_changes_stays_its_own() {
    assert_eq!(ask("same").0, "[2,1,2]");
}

#[test]
fn an_enum_case_arrives_as_the_same_case() {
    assert_eq!(ask("enum").0, "true");
}

#[test]
fn values_that_cannot_travel_are_refused_by_their_path() {
    let prefix = "frankenphp_worker_set_vars(): Argument #1 ($vars) must hold only values that can be sent: ";
    let expected = [
        format!("{prefix}objects are not supported, at ['a']['b']"),
        format!("{prefix}resources are not supported, at [0]"),
        format!("{prefix}references are not supported, at ['x']"),
    ];
    let listed = expected.map(|text| format!("\"{text}\"")).join(",");
    assert_eq!(ask("bad").0, format!("[{listed}]"));
}

#[test]
fn mistakes_are_answered_by_the_right_exception() {
    let answered = ask("errors").0;
    for expected in [
        "RuntimeException: background worker not found: nobody",
        "ValueError: frankenphp_worker_get_vars(): Argument #1 ($name) must not be empty",
        "ValueError: frankenphp_worker_get_vars(): Argument #2 ($timeout) must be greater than or equal to 0",
        "RuntimeException: timeout waiting for background worker: silent",
        "RuntimeException: frankenphp_worker_set_vars() can only be called in a background worker",
        "RuntimeException: frankenphp_worker_task_receive() can only be called in a background worker",
        "ValueError: frankenphp_worker_task_read(): Argument #1 ($stream) must be an open stream of a task",
        "RuntimeException: frankenphp_handle_request() called while not in worker mode",
    ] {
        assert!(
            answered.contains(expected),
            "{expected} is missing in {answered}"
        );
    }
}

#[test]
fn a_task_streams_its_updates_in_order_and_completes() {
    let steps = (1..=20)
        .map(|step| step.to_string())
        .collect::<Vec<_>>()
        .join(",");
    let (answered, outcomes) = ask("task");
    assert_eq!(answered, format!("[\"\\n\",null,[{steps}],true]"));
    assert_eq!(outcomes, [TaskOutcome::Completed]);
}

#[test]
fn several_tasks_are_awaited_together() {
    let (answered, outcomes) = ask("select");
    assert_eq!(answered, r#"["a","b"]"#);
    assert_eq!(outcomes, [TaskOutcome::Completed, TaskOutcome::Completed]);
}

#[test]
fn a_non_blocking_read_says_that_there_is_nothing_yet_and_closing_cancels() {
    let (answered, outcomes) = ask("nonblocking");
    assert_eq!(answered, r#""no update yet""#);
    assert_eq!(outcomes, [TaskOutcome::Cancelled]);
}

#[test]
fn a_worker_that_dies_with_a_task_in_hand_never_looks_like_a_completion() {
    let (answered, outcomes) = ask("aborted");
    assert_eq!(
        answered,
        r#"["before the end","background worker exited without completing the task"]"#
    );
    assert_eq!(outcomes, [TaskOutcome::Aborted]);
}

#[test]
fn the_object_api_mixes_with_the_functions() {
    let (answered, outcomes) = ask("objects");
    let expected = [
        "true",
        "1",
        "\"last\"",
        "null",
        "1",
        "\"background worker exited without completing the task\"",
        "\"Trying to clone an uncloneable object of class FrankenPHP\\\\SentTaskHandle\"",
        "\"Serialization of 'FrankenPHP\\\\SentTaskHandle' is not allowed\"",
        "\"FrankenPHP\\\\WorkerHandle::__construct() can only be called in a background worker\"",
        "\"the task was abandoned\"",
    ];
    assert_eq!(answered, format!("[{}]", expected.join(",")));
    let (last, others) = outcomes.split_last().unwrap();
    assert_eq!(others, [TaskOutcome::Completed, TaskOutcome::Completed]);
    assert_eq!(*last, TaskOutcome::Aborted);
}

#[test]
fn the_stream_of_the_worker_handle_ends_when_the_worker_shall_stop() {
    let (answered, site) = ask_of("stops");
    assert_eq!(answered, "[]");
    assert_eq!(
        *site.exits.lock().unwrap(),
        [ScriptExit::Exited { status: 7 }]
    );
}
