//! Background pools: their restart policy, what they tell readers, and that both hold for those started late.

use std::sync::Mutex;
use std::task::{Context, Waker};

use troupe_sapi::{BackgroundPort, Scope, ScriptExit, Unavailable};

use super::stage::{Stage, fatal};
use super::*;
use crate::supervision::Restart;

/// What a life of the worker does: is it ready, and how does it end? `None` stays until it is killed.
type Life = (bool, Option<ScriptExit>);

fn pool_id() -> NodeId {
    NodeId::site("shop").background_pool("mailer")
}

fn first() -> NodeId {
    pool_id().worker(1)
}

/// A worker `mailer` that lives so; the last life stays.
fn show(at_boot: bool, worker: ChildSpec, lives: Vec<Life>) -> Show {
    let lives = Mutex::new(lives.into_iter().peekable());
    let stage = Stage::playing(move |scene| {
        let (is_ready, end) = {
            let mut lives = lives.lock().unwrap();
            lives.next().unwrap_or((true, None))
        };
        if is_ready {
            scene.ready();
        }
        end.unwrap_or_else(|| scene.hang())
    });
    let mailer = BackgroundSpec {
        at_boot,
        worker: ChildSpec {
            grace: Duration::from_millis(1),
            ..worker
        },
        ..mailer()
    };
    Show::in_background(&stage, mailer)
}

fn exited(status: i32) -> ScriptExit {
    ScriptExit::Exited { status }
}

impl Show {
    fn scope(&self) -> Arc<dyn Scope> {
        self.handle.scope("shop").unwrap()
    }

    /// The worker as a reader finds it; its first use starts it.
    fn mailer(&self) -> Arc<BackgroundPort> {
        self.scope().worker("mailer").unwrap()
    }

    /// Why a reader of this port does not get a snapshot that nobody publishes here.
    async fn reason(&self, port: &BackgroundPort) -> Unavailable {
        eventually("readers are told", || {
            let mut cx = Context::from_waker(Waker::noop());
            match port.vars.poll_current(&mut cx) {
                std::task::Poll::Ready(Err(why)) => Some(why),
                _ => None,
            }
        })
        .await
    }
}

#[tokio::test]
async fn every_end_brings_a_permanent_worker_back_started_early_or_late() {
    let ends = [
        (ScriptExit::Returned, "returned"),
        (exited(0), "exited"),
        (exited(1), "exited"),
        (fatal("boom"), "fatal_error"),
    ];
    for at_boot in [true, false] {
        for (end, reason) in ends.clone() {
            let show = show(at_boot, quick(), vec![(true, Some(end))]);
            let port = show.mailer();
            let node = show
                .until(&first(), "its second life", |node| {
                    node.state == State::Ready && node.generation == 2
                })
                .await;
            assert_eq!(node.last_exit.unwrap().detail.reason, reason);
            assert_eq!(
                show.node(&pool_id()).unwrap().failures.unwrap().in_window,
                0
            );
            assert!(port.tasks.unavailable().is_none());
            show.close().await;
        }
    }
}

#[tokio::test]
async fn a_worker_that_rests_tells_its_readers_and_the_next_one_starts_it_again() {
    for (restart, end) in [
        (Restart::Transient, exited(0)),
        (Restart::Temporary, fatal("boom")),
    ] {
        let spec = ChildSpec { restart, ..quick() };
        let show = show(false, spec, vec![(true, Some(end))]);
        let port = show.mailer();
        let Unavailable::Ended(why) = show.reason(&port).await else {
            panic!("it has ended")
        };
        assert!(why.starts_with("exited") || why.contains("boom"), "{why}");
        show.state(&first(), State::Stopped).await;
        show.mailer();
        show.until(&first(), "its second life", |node| {
            node.state == State::Ready && node.generation == 2
        })
        .await;
        show.close().await;
    }
}

#[tokio::test]
async fn a_worker_that_cannot_boot_tells_its_readers_where_and_the_next_one_tries_again() {
    for at_boot in [true, false] {
        let spec = ChildSpec {
            max_consecutive_failures: Some(2),
            ..quick()
        };
        let failure = || (false, Some(fatal("no database")));
        let show = show(at_boot, spec, vec![failure(), failure()]);
        let port = show.mailer();
        let Unavailable::CannotBoot(why) = show.reason(&port).await else {
            panic!("it can't boot")
        };
        assert!(why.contains("no database in /srv/worker.php:7"), "{why}");
        show.mailer();
        show.state(&first(), State::Ready).await;
        assert!(port.tasks.unavailable().is_none());
        show.close().await;
    }
}

#[tokio::test]
async fn a_drained_worker_is_stopped_until_it_is_restarted() {
    let show = show(true, quick(), Vec::new());
    show.state(&first(), State::Ready).await;
    show.handle.drain(pool_id()).await.unwrap();
    let port = show.mailer();
    assert_eq!(show.reason(&port).await, Unavailable::Stopped);
    show.state(&pool_id(), State::Stopped).await;
    show.handle.restart(pool_id()).await.unwrap();
    assert!(port.tasks.unavailable().is_none());
    show.close().await;
}
