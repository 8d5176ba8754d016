//! PHP threads driven by hand, for the tests of this folder. Each test file is a process of its own with one PHP.

// Not every test file needs everything, and the lint's exception for tests does not know helpers.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

use std::ffi::CString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use troupe_sapi::*;

/// The process's PHP, with `settings` when this is the first call.
pub fn engine_with(settings: &[(&str, &str)]) -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| {
        let ini = settings
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect();
        Engine::start(&EngineConfig {
            ini,
            ..EngineConfig::default()
        })
        .expect("PHP starts")
    })
}

pub fn engine() -> &'static Engine {
    engine_with(&[])
}

pub fn c(text: &str) -> CString {
    CString::new(text).unwrap()
}

/// A script of `tests/php`, or an absolute path.
pub fn script_path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/php")
        .join(name)
}

pub fn path_text(path: &Path) -> CString {
    c(path.to_str().unwrap())
}

/// What a driver has seen.
#[derive(Default)]
pub struct Seen {
    pub ends: Vec<ScriptEnd>,
    pub requests: Vec<RequestEnd>,
    pub opcache_resets: usize,
}

/// A driver that serves one queue, as a classic thread or with a worker script.
struct Plain {
    seat: Seat<Box<Request>>,
    worker: Option<(WorkerKind, PathBuf)>,
    seen: Arc<Mutex<Seen>>,
}

impl Plain {
    fn take(&mut self, wait: &Wait) -> Option<Box<Request>> {
        let taken = wait.until(Heed::Drain, None, |cx| self.seat.poll_pop(cx));
        taken.ok().flatten()
    }
}

impl Driver for Plain {
    fn next_run(&mut self, wait: &Wait) -> Option<Run> {
        let Some((kind, script)) = &self.worker else {
            return self.take(wait).map(Run::Request);
        };
        if wait.draining() {
            return None;
        }
        let mut vars = ServerVars::new();
        vars.push_environment("WHO", "worker");
        Some(Run::Script(WorkerScript {
            kind: *kind,
            name: c("w1"),
            script: path_text(script),
            vars,
            scope: None,
            background: None,
        }))
    }

    fn next_request(&mut self, wait: &Wait) -> Option<Box<Request>> {
        self.take(wait)
    }

    fn put_back(&mut self, request: Box<Request>) {
        self.seat.put_back(request);
    }

    fn script_ready(&mut self) {}

    fn request_ended(&mut self, end: RequestEnd) {
        self.seen.lock().unwrap().requests.push(end);
    }

    fn opcache_was_reset(&mut self) {
        self.seen.lock().unwrap().opcache_resets += 1;
    }

    fn run_ended(&mut self, end: ScriptEnd) {
        self.seen.lock().unwrap().ends.push(end);
    }
}

/// A `POST` of `body` as plain text.
pub fn request(script: &str, query: &str) -> (Box<Request>, ResponseReader) {
    let (response, reader) = response_port();
    let mut vars = ServerVars::new();
    let method = vars.push(VarName::RequestMethod, "POST");
    let uri = vars.text("/");
    let query = vars.push(VarName::QueryString, query);
    let script = vars.text(path_text(&script_path(script)).as_bytes());
    let content_type = vars.text("text/plain");
    vars.push_environment("WHO", "you");
    let request = Request {
        id: 1,
        received: Instant::now(),
        method,
        uri,
        query,
        script,
        content_type: Some(content_type),
        content_length: 4,
        cookie: None,
        authorization: None,
        protocol: 1001,
        vars,
        scope: None,
        body: RequestBody::Whole(Bytes::from_static(b"body")),
        response,
        deadline: None,
        body_idle_timeout: None,
        write_idle_timeout: None,
    };
    (Box::new(request), reader)
}

/// A whole response.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
    /// Statuses of the 1xx answers before it.
    pub informational: Vec<u16>,
    pub outcome: Outcome,
}

impl Answer {
    /// The values of a header, in order.
    pub fn header(&self, name: &str) -> Vec<&str> {
        let same = self
            .headers
            .iter()
            .filter(|(given, _)| given.eq_ignore_ascii_case(name));
        same.map(|(_, value)| value.as_str()).collect()
    }
}

/// Awaits a whole response on this thread.
pub fn answer_of(reader: &mut ResponseReader) -> Answer {
    let wait = Wait::for_this_thread();
    let mut answer = Answer {
        status: 0,
        headers: Vec::new(),
        body: String::new(),
        informational: Vec::new(),
        outcome: Outcome::Aborted,
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    loop {
        match wait
            .until(Heed::Kill, None, |cx| reader.poll_part(cx))
            .unwrap()
        {
            Ok(Part::Head { head, body, .. }) => {
                answer.status = head.status;
                answer.headers = head
                    .headers()
                    .map(|(name, value)| (text(name), text(value)))
                    .collect();
                answer.body += &text(&body);
            }
            Ok(Part::Body(more)) => answer.body += &text(&more),
            Ok(Part::Informational(head)) => answer.informational.push(head.status),
            Err(outcome) => {
                answer.outcome = outcome;
                return answer;
            }
        }
    }
}

/// Status and body of a complete response.
pub fn answer(reader: &mut ResponseReader) -> (u16, String) {
    let answer = answer_of(reader);
    assert_eq!(answer.outcome, Outcome::Complete);
    (answer.status, answer.body)
}

/// A fresh folder for one test.
pub fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Waits for the first part of a response and returns its body.
pub fn await_first_part(reader: &mut ResponseReader) -> String {
    let wait = Wait::for_this_thread();
    let part = wait
        .until(Heed::Kill, None, |cx| reader.poll_part(cx))
        .unwrap();
    let Ok(Part::Head { body, .. }) = part else {
        panic!("{part:?}")
    };
    String::from_utf8(body.to_vec()).unwrap()
}

/// Reads the thread's id from the response and waits until that thread sleeps in a system call.
pub fn await_blocked(reader: &mut ResponseReader) {
    let tid = await_first_part(reader);
    let stat = format!("/proc/self/task/{}/stat", tid.trim());
    loop {
        let stat = fs::read_to_string(&stat).unwrap();
        // The state follows the name, which is in parentheses.
        if stat
            .rsplit(") ")
            .next()
            .is_some_and(|rest| rest.starts_with('S'))
        {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// One PHP thread and the queue it serves.
pub struct Pool {
    pub queue: JobQueue<Box<Request>>,
    pub thread: PhpThread,
    seen: Arc<Mutex<Seen>>,
}

impl Pool {
    pub fn classic() -> Self {
        Self::start(JobQueue::new(64), None)
    }

    pub fn worker(script: &str) -> Self {
        Self::start(
            JobQueue::new(64),
            Some((WorkerKind::Http, script_path(script))),
        )
    }

    pub fn background(script: &str) -> Self {
        Self::start(
            JobQueue::new(1),
            Some((WorkerKind::Background, script_path(script))),
        )
    }

    /// Another thread for the queue of this one, with the same kind of work.
    pub fn sibling(&self) -> Self {
        Self::start(self.queue.clone(), None)
    }

    pub fn start(queue: JobQueue<Box<Request>>, worker: Option<(WorkerKind, PathBuf)>) -> Self {
        let seen = Arc::<Mutex<Seen>>::default();
        let driver = Plain {
            seat: queue.seat(),
            worker,
            seen: seen.clone(),
        };
        let thread = engine()
            .spawn_thread("php-test", move || Box::new(driver))
            .unwrap();
        Self {
            queue,
            thread,
            seen,
        }
    }

    pub fn push(&self, request: Box<Request>) {
        assert!(self.queue.push(request, |_| false).is_ok());
    }

    pub fn send(&self, script: &str, query: &str) -> ResponseReader {
        let (request, reader) = request(script, query);
        self.push(request);
        reader
    }

    pub fn ask(&self, script: &str, query: &str) -> (u16, String) {
        answer(&mut self.send(script, query))
    }

    /// The answer of a script that sends an empty answer says how: with its headers.
    pub fn ask_all(&self, script: &str, query: &str) -> Answer {
        answer_of(&mut self.send(script, query))
    }

    pub fn control(&self) -> ThreadControl {
        self.thread.control()
    }

    /// Returns once the thread serves a request.
    pub fn await_busy(&self) {
        while !matches!(self.control().status().activity, Activity::Request { .. }) {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    pub fn seen<T>(&self, look: impl FnOnce(&mut Seen) -> T) -> T {
        look(&mut self.seen.lock().unwrap())
    }

    /// Drains the thread, waits for its end and tells how its runs ended.
    pub fn stop(self) -> Vec<ScriptEnd> {
        self.thread.control().drain();
        self.thread.join();
        std::mem::take(&mut self.seen.lock().unwrap().ends)
    }
}
