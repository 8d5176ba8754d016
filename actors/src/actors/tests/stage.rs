//! A stage without PHP: plain threads that treat their driver as the shim does, and scripts that are closures.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use troupe_sapi::{
    Activity, Driver, Failure, Head, KillReason, Lookout, Outcome, Part, Request, RequestBody,
    RequestEnd, ResponseReader, Run, ScriptEnd, ScriptExit, ServerVars, Status, Text, Wait,
    response_port,
};

use super::super::thread::{Control, Spawn, Spawned};

/// What a script may do.
pub struct Scene<'a> {
    driver: &'a mut dyn Driver,
    wait: &'a Wait,
    control: Arc<StageControl>,
    ready: bool,
    /// How many runs this stage had before this one.
    pub run: usize,
}

impl Scene<'_> {
    pub fn ready(&mut self) {
        self.ready = true;
        self.driver.script_ready();
    }

    /// The worker loop: each request is answered by what `serve` says, until it is time to leave or `serve`
    /// ends the script.
    pub fn serve(
        &mut self,
        mut serve: impl FnMut(&mut Self, &str) -> Result<String, ScriptExit>,
    ) -> ScriptExit {
        if !self.ready {
            self.ready();
        }
        loop {
            let Some(mut request) = self.driver.next_request(self.wait) else {
                return ScriptExit::Returned;
            };
            self.driver.request_begins(request.received.elapsed());
            if !request.response.begin() {
                continue;
            }
            let uri = uri_of(&request);
            self.control.begin(Activity::Request {
                id: request.id,
                method: "GET".into(),
                uri: uri.clone(),
            });
            let served = serve(self, &uri);
            self.control.end(Activity::Script, true);
            let (status, text, end) = match served {
                Ok(text) => (200, text, None),
                Err(end) => (500, String::new(), Some(end)),
            };
            answer(*request, status, &text);
            if let Some(end) = end {
                return end;
            }
            self.driver.request_ended(RequestEnd {
                took: Duration::ZERO,
                memory: self.control.status().memory,
            });
        }
    }

    /// What the script does when it calls `opcache_reset()`.
    pub fn opcache_reset(&mut self) {
        self.driver.opcache_was_reset();
    }

    /// Blocks like a script in a long call, until it is killed.
    pub fn hang(&self) -> ScriptExit {
        let mut state = self.control.lock();
        loop {
            if let Some((reason, _)) = state.killed {
                return ScriptExit::Killed(reason);
            }
            state = self.control.changed.wait(state).unwrap();
        }
    }

    /// Blocks however often it is killed, until the stage lets everybody go.
    pub fn hang_for_good(&self) {
        let mut state = self.control.lock();
        while !state.let_go {
            state = self.control.changed.wait(state).unwrap();
        }
    }
}

fn answer(request: Request, status: u16, text: &str) {
    let mut response = request.response;
    response.set_head(Head::new(status));
    response.write(text.as_bytes());
    response.finish();
}

type Play = dyn Fn(&mut Scene<'_>) -> ScriptExit + Send + Sync;
type Classic = dyn Fn(&mut Scene<'_>, &str) -> Result<String, ScriptExit> + Send + Sync;

/// The engine.
pub struct Stage {
    play: Box<Play>,
    classic: Box<Classic>,
    runs: AtomicUsize,
    pub spawned: AtomicUsize,
    /// Closed, it holds up the actor that spawns, and all others with it.
    pub spawning: Gate,
    /// So many of the next spawns fail.
    pub refuse: AtomicUsize,
    /// So many of the next spawns panic, in the worker that asks for them.
    pub panic_in_spawn: AtomicUsize,
    /// So many of the next looks at a thread panic when an actor takes them.
    pub panic_in_look: Arc<AtomicUsize>,
    /// Only looks at threads that were spawned after so many others do.
    pub panic_after_threads: AtomicUsize,
    controls: Mutex<Vec<Arc<StageControl>>>,
}

impl Stage {
    /// A stage on which worker scripts do what `play` does.
    pub fn playing(
        play: impl Fn(&mut Scene<'_>) -> ScriptExit + Send + Sync + 'static,
    ) -> Arc<Self> {
        Self::new(Box::new(play), Box::new(|_, uri| Ok(uri.to_owned())))
    }

    /// A stage on which a request in classic mode is answered by what `serve` says.
    pub fn classic(
        serve: impl Fn(&mut Scene<'_>, &str) -> Result<String, ScriptExit> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Self::new(
            Box::new(|scene| scene.serve(|_, uri| Ok(uri.to_owned()))),
            Box::new(serve),
        )
    }

    fn new(play: Box<Play>, classic: Box<Classic>) -> Arc<Self> {
        Arc::new(Self {
            play,
            classic,
            runs: AtomicUsize::new(0),
            spawned: AtomicUsize::new(0),
            spawning: Gate::new(true),
            refuse: AtomicUsize::new(0),
            panic_in_spawn: AtomicUsize::new(0),
            panic_in_look: Arc::default(),
            panic_after_threads: AtomicUsize::new(0),
            controls: Mutex::default(),
        })
    }

    pub fn runs(&self) -> usize {
        self.runs.load(Ordering::SeqCst)
    }

    /// Threads that were told that they are given up.
    pub fn written_off(&self) -> usize {
        self.controls
            .lock()
            .unwrap()
            .iter()
            .filter(|control| control.lock().written_off)
            .count()
    }

    /// Frees the threads that hang for good.
    pub fn let_go(&self) {
        for control in self.controls.lock().unwrap().iter() {
            control.lock().let_go = true;
            control.changed.notify_all();
        }
    }

    fn live(self: &Arc<Self>, mut driver: Box<dyn Driver>, control: &Arc<StageControl>) {
        let wait = Wait::for_this_thread();
        control.end(Activity::Idle, false);
        while let Some(run) = driver.next_run(&wait) {
            let started = Instant::now();
            let number = self.runs.fetch_add(1, Ordering::SeqCst);
            let mut scene = Scene {
                driver: &mut *driver,
                wait: &wait,
                control: control.clone(),
                ready: false,
                run: number,
            };
            let exit = match run {
                Run::Script(_) => {
                    control.begin(Activity::Script);
                    let exit = (self.play)(&mut scene);
                    control.end(Activity::Idle, false);
                    exit
                }
                Run::Request(mut request) => {
                    scene.driver.request_begins(request.received.elapsed());
                    if !request.response.begin() {
                        continue;
                    }
                    let uri = uri_of(&request);
                    control.begin(Activity::Request {
                        id: request.id,
                        method: "GET".into(),
                        uri: uri.clone(),
                    });
                    let served = (self.classic)(&mut scene, &uri);
                    control.end(Activity::Idle, true);
                    match served {
                        Ok(text) => answer(*request, 200, &text),
                        Err(_) => answer(*request, 500, ""),
                    }
                    ScriptExit::Returned
                }
            };
            let was_ready = scene.ready;
            driver.run_ended(ScriptEnd {
                exit,
                was_ready,
                uptime: started.elapsed(),
            });
        }
        control.end(Activity::Ended, false);
    }
}

/// Holds scripts back until the test opens it.
#[derive(Clone)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    pub fn new(open: bool) -> Self {
        Self(Arc::new((Mutex::new(open), Condvar::new())))
    }

    pub fn set(&self, open: bool) {
        *self.0.0.lock().unwrap() = open;
        self.0.1.notify_all();
    }

    pub fn pass(&self) {
        let mut open = self.0.0.lock().unwrap();
        while !*open {
            open = self.0.1.wait(open).unwrap();
        }
    }
}

/// Held by the test through an `Arc`; a new type because the trait and `Arc` are both others'.
pub struct Theatre(pub Arc<Stage>);

impl Spawn for Theatre {
    fn spawn(&self, name: &str, driver: Box<dyn Driver>) -> Result<Spawned, String> {
        let stage = self.0.clone();
        stage.spawning.pass();
        if take_one(&stage.refuse) {
            return Err("no more threads".into());
        }
        assert!(
            !take_one(&stage.panic_in_spawn),
            "as the test wants it: a panic in spawn"
        );
        let before = stage.spawned.fetch_add(1, Ordering::SeqCst);
        let panics = if before >= stage.panic_after_threads.load(Ordering::SeqCst) {
            stage.panic_in_look.clone()
        } else {
            Arc::default()
        };
        let control = Arc::new(StageControl::new(panics));
        stage.controls.lock().unwrap().push(control.clone());
        let inner = control.clone();
        let body = move || stage.live(driver, &inner);
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(body)
            .map_err(|e| e.to_string())?;
        Ok(Spawned {
            control,
            join: Box::new(move || thread.join().unwrap()),
        })
    }
}

fn take_one(left: &AtomicUsize) -> bool {
    left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
        left.checked_sub(1)
    })
    .is_ok()
}

struct ControlState {
    activity: Activity,
    since: Instant,
    generation: u64,
    served: u64,
    killed: Option<(KillReason, Instant)>,
    lookout: Option<Lookout>,
    let_go: bool,
    written_off: bool,
    draining: bool,
}

pub struct StageControl {
    state: Mutex<ControlState>,
    changed: Condvar,
    panic_in_look: Arc<AtomicUsize>,
}

impl StageControl {
    fn new(panic_in_look: Arc<AtomicUsize>) -> Self {
        let state = ControlState {
            activity: Activity::Starting,
            since: Instant::now(),
            generation: 0,
            served: 0,
            killed: None,
            lookout: None,
            let_go: false,
            written_off: false,
            draining: false,
        };
        Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
            panic_in_look,
        }
    }
}

impl StageControl {
    fn lock(&self) -> MutexGuard<'_, ControlState> {
        self.state.lock().unwrap()
    }

    fn begin(&self, activity: Activity) {
        let mut state = self.lock();
        state.activity = activity;
        state.since = Instant::now();
        state.generation += 1;
    }

    fn end(&self, activity: Activity, served: bool) {
        self.begin(activity);
        let mut state = self.lock();
        state.killed = None;
        state.served += u64::from(served);
    }
}

impl Control for StageControl {
    fn status(&self) -> Status {
        let by_actor = std::thread::current().name() == Some("supervision");
        assert!(
            !(by_actor && take_one(&self.panic_in_look)),
            "as the test wants it: a panic in look"
        );
        let state = self.lock();
        Status {
            activity: state.activity.clone(),
            since: state.since,
            generation: state.generation,
            served: state.served,
            memory: 1_000_000,
            killed: state.killed,
        }
    }

    fn watch(&self, lookout: Lookout) {
        self.lock().lookout = Some(lookout);
    }

    fn kill_run(&self, reason: KillReason, run: u64) -> bool {
        self.status().generation == run && self.kill(reason)
    }

    fn kill(&self, reason: KillReason) -> bool {
        let mut state = self.lock();
        let busy = matches!(state.activity, Activity::Script | Activity::Request { .. });
        if busy && state.killed.is_none() {
            state.killed = Some((reason, Instant::now()));
            self.changed.notify_all();
            if let Some(lookout) = &state.lookout {
                let (stuck_after, look) = (lookout.stuck_after, lookout.look.clone());
                std::thread::spawn(move || {
                    std::thread::sleep(stuck_after);
                    look();
                });
            }
        }
        busy
    }

    fn drain(&self) {
        self.lock().draining = true;
        self.changed.notify_all();
    }

    /// No tasks are given on this stage.
    fn retire(&self) -> bool {
        true
    }

    fn idle_since(&self) -> Option<Instant> {
        let state = self.lock();
        (state.activity == Activity::Script).then_some(state.since)
    }

    fn resume(&self) {
        self.lock().draining = false;
    }

    fn write_off(&self) {
        self.lock().written_off = true;
    }

    fn backtrace(&self, _: Duration) -> Option<String> {
        match &self.lock().activity {
            Activity::Request { uri, .. } => Some(format!("#0 {uri}")),
            _ => None,
        }
    }
}

static REQUESTS: AtomicU64 = AtomicU64::new(1);

fn uri_of(request: &Request) -> String {
    String::from_utf8_lossy(request.vars.get(request.uri)).into_owned()
}

/// A request, and where its answer comes.
pub fn request(uri: &str) -> (Box<Request>, ResponseReader) {
    let (response, reader) = response_port();
    let mut vars = ServerVars::new();
    let request = Request {
        id: REQUESTS.fetch_add(1, Ordering::SeqCst),
        received: Instant::now(),
        method: vars.text("GET"),
        uri: vars.text(uri),
        query: Text::default(),
        script: vars.text("/srv/index.php"),
        content_type: None,
        content_length: 0,
        cookie: None,
        authorization: None,
        protocol: 1001,
        vars,
        scope: None,
        body: RequestBody::Empty,
        response,
        deadline: None,
        body_idle_timeout: None,
        write_idle_timeout: None,
    };
    (Box::new(request), reader)
}

/// Status and body.
pub async fn response(mut reader: ResponseReader) -> Result<(u16, String), Outcome> {
    let mut status = 0;
    let mut text = Vec::new();
    loop {
        let part =
            std::future::poll_fn(|cx: &mut Context<'_>| -> Poll<_> { reader.poll_part(cx) }).await;
        match part {
            Ok(Part::Head { head, body, .. }) => {
                status = head.status;
                text.extend_from_slice(&body);
            }
            Ok(Part::Body(body)) => text.extend_from_slice(&body),
            Ok(Part::Informational(_)) => {}
            Err(Outcome::Complete) => return Ok((status, String::from_utf8(text).unwrap())),
            Err(outcome) => return Err(outcome),
        }
    }
}

/// A failure as PHP tells it.
pub fn fatal(message: &str) -> ScriptExit {
    ScriptExit::Failed(Failure {
        message: message.into(),
        file: "/srv/worker.php".into(),
        line: 7,
    })
}

/// A queue of verdicts shared with a script: each run takes the next, and the last stays.
pub fn in_turn<T: Clone + Send>(
    verdicts: impl IntoIterator<Item = T>,
) -> impl Fn() -> T + Send + Sync {
    let queue: Mutex<VecDeque<T>> = Mutex::new(verdicts.into_iter().collect());
    move || {
        let mut queue = queue.lock().unwrap();
        if queue.len() > 1 {
            queue.pop_front().unwrap()
        } else {
            queue[0].clone()
        }
    }
}
