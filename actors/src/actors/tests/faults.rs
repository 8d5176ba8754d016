//! Scripts that fail, threads that hang, actors that panic.

use std::sync::atomic::{AtomicBool, Ordering};

use troupe_sapi::ScriptExit;

use super::stage::{Stage, fatal, in_turn};
use super::*;

#[tokio::test]
async fn a_crash_while_serving_hurts_one_request_and_restarts_at_once_on_the_same_thread() {
    let stage = Stage::playing(|scene| {
        scene.serve(|_, uri| match uri {
            "/bad" => Err(fatal("boom")),
            uri => Ok(uri.to_owned()),
        })
    });
    let show = Show::new(&stage, pool(1));
    for n in 0..20 {
        assert_eq!(show.get("/bad").await.0, 500);
        assert_eq!(show.get(&format!("/{n}")).await, (200, format!("/{n}")));
    }
    let node = show
        .until(&worker(1), "restarted", |node| {
            node.generation == 21 && node.state == State::Ready
        })
        .await;
    let last = node.last_exit.unwrap().detail;
    assert_eq!(last.to_string(), "fatal_error: boom in /srv/worker.php:7");
    assert_eq!(node.exits.get("fatal_error"), Some(&20));
    assert_eq!(
        show.node(&api()).unwrap().failures.unwrap().in_window,
        0,
        "crashes after ready never count"
    );
    assert_eq!(
        stage.spawned.load(Ordering::SeqCst),
        2,
        "one thread for the worker, one for the classic pool"
    );
    show.close().await;
}

#[tokio::test]
async fn a_script_that_fails_twice_to_boot_serves_those_who_waited() {
    let boots = in_turn([false, false, true]);
    let stage = Stage::playing(move |scene| {
        if boots() {
            scene.serve(|_, uri| Ok(uri.to_owned()))
        } else {
            fatal("no database")
        }
    });
    let show = Show::new(&stage, pool(1));
    assert_eq!(show.get("/patient").await, (200, "/patient".into()));
    let node = show.state(&worker(1), State::Ready).await;
    assert_eq!(node.generation, 3);
    assert_eq!(show.node(&api()).unwrap().failures.unwrap().in_window, 2);
    show.close().await;
}

#[tokio::test]
async fn a_pool_that_cannot_boot_answers_503_and_comes_back_when_it_can() {
    let healed = Arc::new(AtomicBool::new(false));
    let well = healed.clone();
    let stage = Stage::playing(move |scene| {
        if well.load(Ordering::SeqCst) {
            scene.serve(|_, uri| Ok(uri.to_owned()))
        } else {
            fatal("no database")
        }
    });
    let show = Show::new(&stage, pool(1));
    let waiting = show.submit("/waits");
    assert_eq!(
        response(waiting).await.unwrap().0,
        503,
        "who waited is turned away"
    );
    let outage = eventually("an outage", || show.api().outage()).await;
    assert!(
        outage.reason.contains("no database in /srv/worker.php:7"),
        "{outage:?}"
    );
    let (late, _reader) = request("/late");
    assert!(matches!(show.api().submit(late), Err(Refused::Down(..))));
    let node = show
        .until(&api(), "an exit", |node| node.last_exit.is_some())
        .await;
    assert_eq!(node.last_exit.unwrap().detail.reason, "escalated");
    // Another pool of another kind has not noticed.
    let (other, reader) = request("/other");
    assert!(show.handle.classic().submit(other).is_ok());
    assert_eq!(response(reader).await, Ok((200, "/other".into())));

    healed.store(true, Ordering::SeqCst);
    eventually("the door opens", || show.api().is_open().then_some(())).await;
    assert_eq!(show.get("/again").await, (200, "/again".into()));
    show.close().await;
}

#[tokio::test]
async fn a_system_that_has_no_more_threads_is_a_failed_boot_and_tried_again() {
    let stage = Stage::playing(|scene| scene.serve(|_, uri| Ok(uri.to_owned())));
    stage.refuse.store(3, Ordering::SeqCst);
    let show = Show::new(&stage, pool(1));
    assert_eq!(show.get("/").await.0, 200);
    let exits = show
        .handle
        .tree()
        .root()
        .unwrap()
        .walk()
        .filter_map(|node| node.exits.get("no_thread"))
        .sum::<u64>();
    assert_eq!(
        exits, 6,
        "three exits, each told by the worker and counted by its pool"
    );
    show.close().await;
}

#[tokio::test]
async fn a_thread_that_cannot_be_ended_is_written_off_and_replaced() {
    let stage = Stage::playing(|scene| {
        scene.serve(|scene, uri| match uri {
            "/stuck" => {
                scene.hang_for_good();
                Ok(String::new())
            }
            uri => Ok(uri.to_owned()),
        })
    });
    let show = Show::new(&stage, impatient(1));
    let stuck = show.submit("/stuck");
    show.until(&worker(1), "busy", |node| node.current.is_some())
        .await;
    show.handle.kill(worker(1)).await.unwrap();
    assert_eq!(
        show.get("/next").await,
        (200, "/next".into()),
        "a new thread serves"
    );
    assert_eq!(show.handle.census().lost_threads(), 1);
    assert_eq!(stage.written_off(), 1, "its client and its tasks were told");
    let node = show
        .until(&worker(1), "replaced", |node| node.generation == 2)
        .await;
    assert_eq!(node.last_exit.unwrap().detail.reason, "thread_lost");
    // It comes back after all: it takes no further work and is counted out.
    show.stage.let_go();
    assert_eq!(response(stuck).await.unwrap().0, 200);
    eventually("it is counted out", || {
        (show.handle.census().lost_threads() == 0).then_some(())
    })
    .await;
    assert_eq!(show.handle.census().lost_threads_ever(), 1);
    show.close().await;
}

#[tokio::test]
async fn a_boot_that_hangs_is_forced_and_counts_as_failed() {
    let boots = in_turn([false, true]);
    let stage = Stage::playing(move |scene| {
        if boots() {
            scene.serve(|_, uri| Ok(uri.to_owned()))
        } else {
            scene.hang()
        }
    });
    let hasty = ChildSpec {
        boot: BootLimit::Forced(Duration::from_millis(20)),
        ..quick()
    };
    let show = Show::new(
        &stage,
        PoolSpec {
            worker: hasty,
            ..pool(1)
        },
    );
    assert_eq!(show.get("/").await.0, 200);
    let node = show.state(&worker(1), State::Ready).await;
    let last = node.last_exit.unwrap().detail;
    assert_eq!(
        last.to_string(),
        "boot_timeout: its boot has not ended within 0.02 s"
    );
    assert_eq!(show.node(&api()).unwrap().failures.unwrap().in_window, 1);
    show.close().await;
}

#[tokio::test]
async fn a_script_that_returns_without_serving_is_slowed_down_and_the_pool_stays() {
    let stage = Stage::playing(|scene| {
        scene.ready();
        ScriptExit::Returned
    });
    let looping = ChildSpec {
        min_uptime: Duration::from_millis(20),
        ..quick()
    };
    let show = Show::new(
        &stage,
        PoolSpec {
            worker: looping,
            ..pool(1)
        },
    );
    let started = Instant::now();
    let node = show
        .until(&worker(1), "ten starts", |node| node.generation >= 10)
        .await;
    assert!(
        started.elapsed() >= Duration::from_millis(9 * 20),
        "each start waits for the minimum uptime"
    );
    assert_eq!(
        node.exits.get("returned"),
        Some(&(node.generation - 1)).max(node.exits.get("returned"))
    );
    assert!(show.api().is_open());
    assert_eq!(show.node(&api()).unwrap().failures.unwrap().in_window, 0);
    show.close().await;
}

#[tokio::test]
async fn actors_that_do_not_keep_up_are_noticed_and_requests_are_served_all_the_same() {
    let stage = Stage::playing(|scene| {
        scene.serve(|_, uri| match uri {
            "/bad" => Err(fatal("boom")),
            uri => Ok(uri.to_owned()),
        })
    });
    let show = Show::new(&stage, pool(1));
    for id in [worker(1), NodeId::classic().worker(1)] {
        show.state(&id, State::Ready).await;
    }
    stage.spawning.set(false);
    let handle = show.handle.clone();
    let restart = tokio::spawn(async move { handle.restart(NodeId::classic()).await });
    show.state(&NodeId::classic().worker(1), State::Starting)
        .await;
    // From here on the supervision thread is held up.
    assert_eq!(show.get("/bad").await.0, 500);
    assert_eq!(
        show.get("/good").await,
        (200, "/good".into()),
        "the restart needed no actor"
    );
    assert_eq!(
        show.handle.census().unread_reports(),
        2,
        "it has begun again, and was ready"
    );
    stage.spawning.set(true);
    restart.await.unwrap().unwrap();
    show.until(&worker(1), "caught up", |node| node.generation == 2)
        .await;
    show.close().await;
}
