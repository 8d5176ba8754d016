//! PHP threads driven by hand: classic requests, a worker script, kills. One process, one PHP.

use std::ffi::CString;
use std::path::Path;
use std::sync::{Mutex, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use troupe_sapi::*;

fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| Engine::start(&EngineConfig::default()).expect("PHP starts"))
}

/// A thread that serves one queue, as a classic thread or with a worker script.
struct Plain {
    seat: Seat<Box<Request>>,
    worker: Option<&'static str>,
    ends: std::sync::Arc<Mutex<Vec<ScriptEnd>>>,
}

impl Plain {
    fn take(&mut self, wait: &Wait) -> Option<Box<Request>> {
        let taken = wait.until(Heed::Drain, None, |cx| self.seat.poll_pop(cx));
        taken.ok().flatten()
    }
}

impl Driver for Plain {
    fn next_run(&mut self, wait: &Wait) -> Option<Run> {
        let Some(script) = self.worker else { return self.take(wait).map(Run::Request) };
        if wait.draining() {
            return None;
        }
        let mut vars = ServerVars::new();
        vars.push("WHO", "worker");
        Some(Run::Script(WorkerScript { kind: WorkerKind::Http, name: c("w1"), script: script_path(script), vars }))
    }

    fn next_request(&mut self, wait: &Wait) -> Option<Box<Request>> {
        self.take(wait)
    }

    fn script_ready(&mut self) {}

    fn request_ended(&mut self, _end: RequestEnd) {}

    fn run_ended(&mut self, end: ScriptEnd) {
        self.ends.lock().unwrap().push(end);
    }
}

fn c(text: &str) -> CString {
    CString::new(text).unwrap()
}

fn script_path(name: &str) -> CString {
    c(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/php").join(name).to_str().unwrap())
}

fn request(script: &str, query: &str) -> (Box<Request>, ResponseReader) {
    let (response, reader) = response_port();
    let mut vars = ServerVars::new();
    vars.push("QUERY_STRING", query);
    vars.push("WHO", "you");
    let request = Request {
        id: 1,
        received: Instant::now(),
        method: c("POST"),
        uri: c("/"),
        query: c(query),
        script: script_path(script),
        content_type: Some(c("text/plain")),
        content_length: 4,
        cookie: None,
        authorization: None,
        protocol: 1001,
        vars,
        body: RequestBody::Whole(Bytes::from_static(b"body")),
        response,
        deadline: None,
        body_idle_timeout: None,
        write_idle_timeout: None,
    };
    (Box::new(request), reader)
}

/// Status and body of a response, awaited on this thread.
fn answer(reader: &mut ResponseReader) -> (u16, String) {
    let wait = Wait::for_this_thread();
    let mut status = 0;
    let mut body = Vec::new();
    loop {
        match wait.until(Heed::Kill, None, |cx| reader.poll_part(cx)).unwrap() {
            Ok(Part::Head { head, body: first, .. }) => {
                status = head.status;
                body.extend_from_slice(&first);
            }
            Ok(Part::Body(more)) => body.extend_from_slice(&more),
            Ok(Part::Informational(_)) => {}
            Err(outcome) => {
                assert_eq!(outcome, Outcome::Complete);
                return (status, String::from_utf8(body).unwrap());
            }
        }
    }
}

struct Pool {
    queue: JobQueue<Box<Request>>,
    thread: PhpThread,
    ends: std::sync::Arc<Mutex<Vec<ScriptEnd>>>,
}

impl Pool {
    fn start(worker: Option<&'static str>) -> Self {
        let queue = JobQueue::new(16);
        let ends = std::sync::Arc::default();
        let driver = Plain { seat: queue.seat(), worker, ends: std::sync::Arc::clone(&ends) };
        let thread = engine().spawn_thread("php-test", move || Box::new(driver)).unwrap();
        Self { queue, thread, ends }
    }

    fn send(&self, script: &str, query: &str) -> ResponseReader {
        let (request, reader) = request(script, query);
        assert!(self.queue.push(request, |_| false).is_ok());
        reader
    }

    fn ask(&self, script: &str, query: &str) -> (u16, String) {
        answer(&mut self.send(script, query))
    }

    fn stop(self) -> Vec<ScriptEnd> {
        self.thread.control().drain();
        self.thread.join();
        std::mem::take(&mut *self.ends.lock().unwrap())
    }
}

#[test]
fn a_classic_thread_answers_from_a_clean_state() {
    let pool = Pool::start(None);
    assert_eq!(pool.ask("hello.php", "n=1"), (200, "hello you 1 body".into()));
    assert_eq!(pool.ask("hello.php", "n=2"), (200, "hello you 2 body".into()));
    assert_eq!(pool.stop().len(), 2);
}

#[test]
fn a_worker_script_serves_many_requests_and_starts_again_after_an_exit() {
    let pool = Pool::start(Some("worker.php"));
    assert_eq!(pool.ask("", "a=1"), (200, "request 1 of w1 a=1".into()));
    assert_eq!(pool.ask("", "a=2"), (200, "request 2 of w1 a=2".into()));
    assert_eq!(pool.ask("", "do=exit"), (200, "bye".into()));
    assert_eq!(pool.ask("", "a=3"), (200, "request 1 of w1 a=3".into()));
    assert_eq!(pool.ask("", "do=throw").0, 500);
    assert_eq!(pool.ask("", "a=4"), (200, "request 1 of w1 a=4".into()));
    let exits: Vec<_> = pool.stop().into_iter().map(|end| (end.was_ready, end.exit)).collect();
    assert_eq!(exits[0], (true, ScriptExit::Exited { status: 0 }));
    let (true, ScriptExit::Failed(failure)) = &exits[1] else { panic!("{exits:?}") };
    assert!(failure.message.contains("oh"), "{failure:?}");
    assert!(failure.file.ends_with("worker.php"));
    assert_eq!(exits[2], (true, ScriptExit::Returned));
}

#[test]
fn a_script_in_a_busy_loop_is_killed_and_its_thread_serves_on() {
    let pool = Pool::start(Some("worker.php"));
    let mut reader = pool.send("", "do=loop");
    while !matches!(pool.thread.control().status().activity, Activity::Request { .. }) {
        std::thread::sleep(Duration::from_millis(1));
    }
    let control = pool.thread.control();
    let trace = control.backtrace(Duration::from_secs(5)).expect("the script tells its stack");
    assert!(trace.contains("worker.php"), "{trace}");
    let generation = control.status().generation;
    assert!(!control.kill(KillReason::Operator, Some(generation - 1)), "a stale kill must not hit");
    assert!(control.kill(KillReason::Operator, Some(generation)));
    assert_eq!(answer(&mut reader).0, 500);
    assert_eq!(pool.ask("", "a=1"), (200, "request 1 of w1 a=1".into()));
    let exits: Vec<_> = pool.stop().into_iter().map(|end| end.exit).collect();
    assert_eq!(exits, [ScriptExit::Killed(KillReason::Operator), ScriptExit::Returned]);
}

#[test]
fn a_job_whose_client_left_is_not_run() {
    let pool = Pool::start(None);
    let (request, reader) = request("hello.php", "");
    drop(reader);
    assert!(pool.queue.push(request, |_| false).is_ok());
    assert_eq!(pool.ask("hello.php", "n=1").0, 200);
    assert_eq!(pool.stop().len(), 1);
}

#[test]
fn a_deadline_ends_a_request_with_504() {
    let pool = Pool::start(Some("worker.php"));
    let (mut request, mut reader) = request("", "do=loop");
    request.deadline = Some(Duration::from_millis(50));
    assert!(pool.queue.push(request, |_| false).is_ok());
    assert_eq!(answer(&mut reader).0, 504);
    pool.stop();
    let mut cx = Context::from_waker(Waker::noop());
    assert!(matches!(reader.poll_part(&mut cx), Poll::Ready(Err(Outcome::Complete))));
}
