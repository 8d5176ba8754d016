//! The actors on a stage without PHP. Nothing is timed against the wall: tests wait for what must come, and
//! what must not come is asserted after something that would have come later.

mod background;
mod faults;
mod panics;
mod restarts;
mod scaling;
mod serving;
mod shutdown;
mod stage;
mod tasks;

use std::sync::Arc;
use std::time::{Duration, Instant};

use stage::{Stage, Theatre, request, response};

use super::*;
use crate::supervision::{BackoffPolicy, BootLimit, ChildSpec, Policy, ScalingPolicy};
use crate::tree::{Node, NodeId, State};

/// A script spec that the stage does not look at.
fn script() -> Work {
    let c_text = |text: &str| std::ffi::CString::new(text).unwrap();
    Work::Http(Script {
        name: c_text("api"),
        path: c_text("/srv/worker.php"),
        env: Vec::new(),
    })
}

/// Backoff in milliseconds, so that failures need not be waited for.
fn quick() -> ChildSpec {
    let backoff = BackoffPolicy {
        base: Duration::from_millis(1),
        cap: Duration::from_millis(20),
        ..BackoffPolicy::default()
    };
    ChildSpec {
        backoff,
        min_uptime: Duration::ZERO,
        ..ChildSpec::default()
    }
}

fn pool(threads: u32) -> PoolSpec {
    PoolSpec {
        worker: quick(),
        write_off_after: Duration::from_secs(60),
        ..PoolSpec::new("api", script(), threads)
    }
}

/// A background worker of one thread, started by its first use.
fn mailer() -> BackgroundSpec {
    BackgroundSpec {
        name: Some("mailer".into()),
        path: std::ffi::CString::default(),
        env: Vec::new(),
        scaling: ScalingPolicy::between(1, 1),
        at_boot: false,
        max_queue: 1,
        max_names: 1,
        task_deadline: None,
        worker: quick(),
        policy: Policy::pool(),
    }
}

/// A pool that soon gives threads up.
fn impatient(threads: u32) -> PoolSpec {
    PoolSpec {
        write_off_after: Duration::from_millis(50),
        ..pool(threads)
    }
}

fn classic(threads: u32) -> PoolSpec {
    PoolSpec {
        name: "classic".into(),
        work: Work::Classic,
        ..pool(threads)
    }
}

/// A server with one site `shop` that has one worker pool `api`.
struct Show {
    stage: Arc<Stage>,
    handle: Handle,
}

impl Show {
    fn new(stage: &Arc<Stage>, api: PoolSpec) -> Self {
        Self::with(stage, classic(1), vec![api])
    }

    fn with(stage: &Arc<Stage>, classic: PoolSpec, http: Vec<PoolSpec>) -> Self {
        Self::of(stage, classic, http, Vec::new())
    }

    /// The site has a background worker, and no pool of HTTP workers.
    fn in_background(stage: &Arc<Stage>, worker: BackgroundSpec) -> Self {
        Self::of(stage, classic(1), Vec::new(), vec![worker])
    }

    fn of(
        stage: &Arc<Stage>,
        classic: PoolSpec,
        http: Vec<PoolSpec>,
        background: Vec<BackgroundSpec>,
    ) -> Self {
        let spec = ServerSpec {
            classic,
            sites: vec![SiteSpec {
                name: "shop".into(),
                http,
                background,
            }],
        };
        let handle = start(spec, Arc::new(Theatre(stage.clone()))).unwrap();
        Self {
            stage: stage.clone(),
            handle,
        }
    }

    fn api(&self) -> &PoolPort {
        self.handle.http("shop", "api").unwrap()
    }

    fn submit(&self, uri: &str) -> troupe_sapi::ResponseReader {
        let (request, reader) = request(uri);
        assert!(self.api().submit(request).is_ok(), "{uri} was not taken");
        reader
    }

    async fn get(&self, uri: &str) -> (u16, String) {
        response(self.submit(uri)).await.unwrap()
    }

    fn node(&self, id: &NodeId) -> Option<Node> {
        self.handle.tree().node(id)
    }

    async fn until(&self, id: &NodeId, what: &str, condition: impl Fn(&Node) -> bool) -> Node {
        eventually(&format!("{id}: {what}"), || {
            self.node(id).filter(&condition)
        })
        .await
    }

    async fn state(&self, id: &NodeId, state: State) -> Node {
        self.until(id, state.label(), |node| node.state == state)
            .await
    }

    /// Ends the show and checks that nobody stayed behind.
    async fn close(self) {
        self.stage.let_go();
        let farewell = self.handle.shutdown(Duration::from_secs(10)).await;
        assert_eq!(farewell.actors, 0, "actors leaked");
        assert!(
            self.handle.tree().is_empty(),
            "{:?}",
            self.handle.tree().root()
        );
        eventually("every thread has ended", || {
            (self.handle.census().threads() == 0).then_some(())
        })
        .await;
        assert_eq!(self.handle.census().unread_reports(), 0);
    }
}

fn api() -> NodeId {
    NodeId::site("shop").http_pool("api")
}

fn worker(number: u32) -> NodeId {
    api().worker(number)
}

/// Waits until `look` finds what it looks for; a minute is for ever.
async fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(
            start.elapsed() < Duration::from_secs(60),
            "never came: {what}"
        );
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
