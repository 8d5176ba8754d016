//! What operators ask for.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::stage::{Gate, Stage, fatal, in_turn};
use super::*;
use crate::tree::Change;

fn echo() -> Arc<Stage> {
    Stage::playing(|scene| {
        let run = scene.run;
        scene.serve(move |_, _| Ok(run.to_string()))
    })
}

#[tokio::test]
async fn a_rolling_restart_renews_every_worker_one_at_a_time_and_loses_no_request() {
    let down = Arc::new(AtomicUsize::new(0));
    let most_down = Arc::new(AtomicUsize::new(0));
    let (gone, peak) = (down.clone(), most_down.clone());
    let stage = Stage::playing(move |scene| {
        if scene.run >= 4 {
            gone.fetch_sub(1, Ordering::SeqCst);
        }
        let end = scene.serve(|_, uri| Ok(uri.to_owned()));
        peak.fetch_max(gone.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        end
    });
    // The classic pool would add runs of its own to the count.
    let show = Show::new(&stage, pool(4));
    for number in 1..=4 {
        show.state(&worker(number), State::Ready).await;
    }
    let port = show.api().clone();
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    let load = tokio::spawn(async move {
        let mut served = 0;
        while !stopped.load(Ordering::SeqCst) {
            let readers: Vec<_> = (0..8)
                .map(|_| {
                    let (request, reader) = request("/");
                    assert!(port.submit(request).is_ok());
                    reader
                })
                .collect();
            for reader in readers {
                assert_eq!(response(reader).await, Ok((200, "/".into())));
                served += 1;
            }
        }
        served
    });
    show.handle.restart(api()).await.unwrap();
    stop.store(true, Ordering::SeqCst);
    assert!(load.await.unwrap() > 0);
    assert_eq!(
        most_down.load(Ordering::SeqCst),
        1,
        "never two workers at once"
    );
    for number in 1..=4 {
        let node = show.state(&worker(number), State::Ready).await;
        assert_eq!(
            (node.generation, node.last_exit.unwrap().detail.reason),
            (2, "stopped")
        );
    }
    assert_eq!(show.node(&api()).unwrap().failures.unwrap().in_window, 0);
    show.close().await;
}

#[tokio::test]
async fn a_rolling_restart_into_a_broken_script_halts_at_the_first_worker() {
    let broken = Arc::new(AtomicBool::new(false));
    let ill = broken.clone();
    let stage = Stage::playing(move |scene| {
        if ill.load(Ordering::SeqCst) {
            fatal("parse error")
        } else {
            scene.serve(|_, uri| Ok(uri.to_owned()))
        }
    });
    // The broken worker is tried again, but not so often that the pool gives up.
    let mut patient = pool(3);
    patient.worker.backoff.base = Duration::from_secs(3600);
    patient.worker.backoff.cap = Duration::from_secs(3600);
    let show = Show::new(&stage, patient);
    for number in 1..=3 {
        show.state(&worker(number), State::Ready).await;
    }
    broken.store(true, Ordering::SeqCst);
    let error = show.handle.restart(api()).await.unwrap_err();
    let SteerError::Halted { node, reason, left } = error else {
        panic!("{error}")
    };
    assert_eq!((node, left), (worker(1), 2));
    assert!(reason.contains("parse error"), "{reason}");
    assert_eq!(show.node(&worker(1)).unwrap().state, State::Waiting);
    assert!(show.node(&worker(1)).unwrap().next_start_in.unwrap() > Duration::from_secs(3000));
    assert_eq!(
        show.get("/still").await,
        (200, "/still".into()),
        "the others keep what they have"
    );

    broken.store(false, Ordering::SeqCst);
    show.handle.restart(worker(1)).await.unwrap();
    assert_eq!(show.node(&worker(1)).unwrap().state, State::Ready);
    show.close().await;
}

#[tokio::test]
async fn a_restart_waits_for_the_request_in_hand() {
    let gate = Gate::new(true);
    let held = gate.clone();
    let stage = Stage::playing(move |scene| {
        scene.serve(|_, uri| {
            if uri == "/slow" {
                held.pass();
            }
            Ok(uri.to_owned())
        })
    });
    let show = Show::new(&stage, pool(1));
    gate.set(false);
    let slow = show.submit("/slow");
    show.until(&worker(1), "busy", |node| node.current.is_some())
        .await;
    let handle = show.handle.clone();
    let restart = tokio::spawn(async move { handle.restart(worker(1)).await });
    show.state(&worker(1), State::Draining).await;
    gate.set(true);
    assert_eq!(response(slow).await, Ok((200, "/slow".into())));
    restart.await.unwrap().unwrap();
    show.close().await;
}

#[tokio::test]
async fn a_restart_forces_a_request_that_outlasts_the_grace() {
    let stage = Stage::playing(|scene| {
        scene.serve(|scene, uri| {
            if uri == "/hang" {
                Err(scene.hang())
            } else {
                Ok(uri.to_owned())
            }
        })
    });
    let mut brisk = pool(1);
    brisk.worker.grace = Duration::from_millis(10);
    let show = Show::new(&stage, brisk);
    let hang = show.submit("/hang");
    show.until(&worker(1), "busy", |node| node.current.is_some())
        .await;
    show.handle.restart(worker(1)).await.unwrap();
    assert_eq!(response(hang).await.unwrap().0, 500);
    assert_eq!(show.get("/").await.0, 200);
    show.close().await;
}

#[tokio::test]
async fn everything_can_be_restarted_at_once_and_each_pool_rolls() {
    let show = Show::new(&echo(), pool(2));
    let workers = [worker(1), worker(2), NodeId::classic().worker(1)];
    for id in &workers {
        show.state(id, State::Ready).await;
    }
    show.handle.restart(NodeId::root()).await.unwrap();
    for id in workers {
        assert_eq!(show.node(&id).unwrap().generation, 2, "{id}");
    }
    show.close().await;
}

#[tokio::test]
async fn an_opcache_reset_renews_every_worker_and_no_classic_thread() {
    let stage = Stage::playing(|scene| {
        scene.serve(|scene, uri| {
            if uri == "/reset" {
                scene.opcache_reset();
            }
            Ok(uri.to_owned())
        })
    });
    let show = Show::new(&stage, pool(2));
    let workers = [worker(1), worker(2), NodeId::classic().worker(1)];
    for id in &workers {
        show.state(id, State::Ready).await;
    }
    assert_eq!(show.get("/reset").await.0, 200);
    for number in [1, 2] {
        show.until(&worker(number), "renewed", |node| {
            node.generation == 2 && node.state == State::Ready
        })
        .await;
    }
    assert_eq!(
        show.node(&workers[2]).unwrap().generation,
        1,
        "it keeps nothing from one request to the next"
    );
    show.close().await;
}

#[tokio::test]
async fn a_drained_worker_rests_and_its_siblings_serve_until_it_is_restarted() {
    let show = Show::new(&echo(), pool(2));
    show.state(&worker(2), State::Ready).await;
    show.handle.drain(worker(1)).await.unwrap();
    show.state(&worker(1), State::Stopped).await;
    assert_eq!(show.get("/").await.0, 200);
    show.handle.restart(worker(1)).await.unwrap();
    assert_eq!(show.node(&worker(1)).unwrap().state, State::Ready);
    show.close().await;
}

#[tokio::test]
async fn a_worker_that_is_drained_while_it_is_being_restarted_does_not_hold_up_the_others() {
    let gate = Gate::new(true);
    let held = gate.clone();
    let stage = Stage::playing(move |scene| {
        scene.serve(|_, uri| {
            held.pass();
            Ok(uri.to_owned())
        })
    });
    let show = Show::new(&stage, pool(2));
    for number in [1, 2] {
        show.state(&worker(number), State::Ready).await;
    }
    gate.set(false);
    let readers = [show.submit("/a"), show.submit("/b")];
    for number in [1, 2] {
        show.until(&worker(number), "busy", |node| node.current.is_some())
            .await;
    }
    let handle = show.handle.clone();
    let restart = tokio::spawn(async move { handle.restart(api()).await });
    show.state(&worker(1), State::Draining).await;
    show.handle.drain(worker(1)).await.unwrap();
    gate.set(true);
    for reader in readers {
        assert_eq!(response(reader).await.unwrap().0, 200);
    }
    eventually("the restart is over", || {
        restart.is_finished().then_some(())
    })
    .await;
    restart.await.unwrap().unwrap();
    assert_eq!(show.node(&worker(2)).unwrap().generation, 2);
    show.state(&worker(1), State::Stopped).await;
    show.close().await;
}

/// A stage whose scripts hang while they boot as long as the flag says so.
fn hanging() -> (Arc<Stage>, Arc<AtomicBool>) {
    let hangs = Arc::new(AtomicBool::new(false));
    let ill = hangs.clone();
    let stage = Stage::playing(move |scene| {
        if ill.load(Ordering::SeqCst) {
            scene.hang()
        } else {
            scene.serve(|_, uri| Ok(uri.to_owned()))
        }
    });
    (stage, hangs)
}

#[tokio::test]
async fn a_restart_into_a_boot_that_hangs_names_the_worker_and_the_others_serve_on() {
    let (stage, hangs) = hanging();
    let mut hasty = pool(2);
    hasty.worker.boot = BootLimit::Forced(Duration::from_millis(500));
    let show = Show::new(&stage, hasty);
    for number in [1, 2] {
        show.state(&worker(number), State::Ready).await;
    }
    hangs.store(true, Ordering::SeqCst);
    let untouched = show.node(&worker(2)).unwrap().generation;
    let error = show.handle.restart(api()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the restart of site:shop:http:api:1 halted: boot_timeout: its boot has not ended within 0.5 s; \
         1 workers keep running what they have"
    );
    assert_eq!(show.get("/").await, (200, "/".into()));
    assert_eq!(show.node(&worker(2)).unwrap().generation, untouched);
    show.until(&worker(1), "ended by force", |node| {
        let last = node.last_exit.as_ref();
        last.is_some_and(|exit| exit.detail.reason == "boot_timeout")
    })
    .await;
    hangs.store(false, Ordering::SeqCst);
    show.state(&worker(1), State::Ready).await;
    show.handle.drain(api()).await.unwrap();
    show.state(&api(), State::Stopped).await;
    hangs.store(true, Ordering::SeqCst);
    let error = show.handle.restart(api()).await.unwrap_err();
    assert!(error.to_string().contains("within 0.5 s"), "{error}");
    show.close().await;
}

#[tokio::test]
async fn a_restart_does_not_wait_for_ever_for_a_boot_without_a_limit_and_leaves_it_alone() {
    let gate = Gate::new(true);
    let held = gate.clone();
    let stage = Stage::playing(move |scene| {
        held.pass();
        scene.serve(|_, uri| Ok(uri.to_owned()))
    });
    let mut patient = pool(2);
    patient.worker.boot = BootLimit::Told(Duration::from_millis(20));
    let show = Show::new(&stage, patient);
    for number in [1, 2] {
        show.state(&worker(number), State::Ready).await;
    }
    gate.set(false);
    let error = show.handle.restart(api()).await.unwrap_err();
    assert!(
        matches!(&error, SteerError::Halted { node, left: 1, reason }
            if *node == worker(1) && reason.contains("within 0.02 s")),
        "{error}"
    );
    assert_eq!(show.node(&worker(1)).unwrap().state, State::Starting);
    gate.set(true);
    let node = show.state(&worker(1), State::Ready).await;
    assert_eq!(node.generation, 2, "it was the same boot");
    show.close().await;
}

#[tokio::test]
async fn a_restart_of_a_worker_whose_boot_hangs_is_no_failed_boot() {
    let boots = in_turn([false, true]);
    let stage = Stage::playing(move |scene| {
        if boots() {
            scene.serve(|_, uri| Ok(uri.to_owned()))
        } else {
            scene.hang()
        }
    });
    let mut brisk = pool(1);
    brisk.worker.grace = Duration::from_millis(10);
    let show = Show::new(&stage, brisk);
    eventually("it boots", || (stage.runs() == 1).then_some(())).await;
    show.handle.restart(worker(1)).await.unwrap();
    assert_eq!(show.get("/").await.0, 200);
    assert_eq!(show.node(&api()).unwrap().failures.unwrap().in_window, 0);
    show.close().await;
}

#[tokio::test]
async fn a_drained_pool_takes_no_requests_until_it_is_restarted() {
    let show = Show::new(&echo(), pool(1));
    show.get("/").await;
    show.handle.drain(api()).await.unwrap();
    show.state(&api(), State::Stopped).await;
    let (refused, _reader) = request("/");
    assert!(matches!(show.api().submit(refused), Err(Refused::Down(..))));
    show.handle.restart(api()).await.unwrap();
    assert_eq!(
        show.get("/").await.0,
        200,
        "the restart was over when the door was open"
    );
    show.close().await;
}

#[tokio::test]
async fn a_restart_of_what_was_drained_is_over_when_every_worker_is_ready() {
    let site = NodeId::site("shop");
    for (node, at_rest) in [
        (api(), api()),
        (site.clone(), site.clone()),
        (NodeId::root(), site),
    ] {
        let gates = [Gate::new(true), Gate::new(true)];
        let held = gates.clone();
        let boots = Arc::new(AtomicUsize::new(0));
        let booted = boots.clone();
        let stage = Stage::playing(move |scene| {
            held[booted.fetch_add(1, Ordering::SeqCst) % 2].pass();
            scene.serve(|_, uri| Ok(uri.to_owned()))
        });
        let show = Show::new(&stage, pool(2));
        for number in [1, 2] {
            show.state(&worker(number), State::Ready).await;
        }
        show.handle.drain(node.clone()).await.unwrap();
        show.state(&at_rest, State::Stopped).await;
        gates.iter().for_each(|gate| gate.set(false));
        let handle = show.handle.clone();
        let restart = tokio::spawn(async move { handle.restart(node).await });
        eventually("both boot", || {
            (boots.load(Ordering::SeqCst) == 4).then_some(())
        })
        .await;
        gates[0].set(true);
        show.state(&api(), State::Ready).await;
        assert!(!restart.is_finished(), "one of two is ready");
        gates[1].set(true);
        restart.await.unwrap().unwrap();
        for number in [1, 2] {
            assert_eq!(show.node(&worker(number)).unwrap().state, State::Ready);
        }
        show.close().await;
    }
}

#[tokio::test]
async fn a_restart_that_is_undone_before_it_is_over_says_so() {
    let gate = Gate::new(true);
    let held = gate.clone();
    let stage = Stage::playing(move |scene| {
        held.pass();
        scene.serve(|_, uri| Ok(uri.to_owned()))
    });
    let show = Show::new(&stage, pool(1));
    show.get("/").await;
    let site = NodeId::site("shop");
    show.handle.drain(site.clone()).await.unwrap();
    show.state(&site, State::Stopped).await;
    gate.set(false);
    let (handle, node) = (show.handle.clone(), site.clone());
    let restart = tokio::spawn(async move { handle.restart(node).await });
    show.state(&worker(1), State::Starting).await;
    show.handle.drain(site.clone()).await.unwrap();
    assert_eq!(restart.await.unwrap(), Err(SteerError::Gone));
    gate.set(true);
    show.state(&site, State::Stopped).await;
    show.close().await;
}

#[tokio::test]
async fn a_drained_pool_that_does_not_come_back_says_so() {
    let broken = Arc::new(AtomicBool::new(false));
    let ill = broken.clone();
    let stage = Stage::playing(move |scene| {
        if ill.load(Ordering::SeqCst) {
            fatal("gone")
        } else {
            scene.serve(|_, uri| Ok(uri.to_owned()))
        }
    });
    let show = Show::new(&stage, pool(1));
    show.get("/").await;
    show.handle.drain(api()).await.unwrap();
    show.state(&api(), State::Stopped).await;
    broken.store(true, Ordering::SeqCst);
    let error = show.handle.restart(api()).await.unwrap_err();
    assert!(
        matches!(&error, SteerError::Halted { node, reason, .. } if *node == worker(1) && reason.contains("gone"))
    );
    show.close().await;
}

#[tokio::test]
async fn a_killed_worker_comes_back() {
    let stage = Stage::playing(|scene| {
        scene.serve(|scene, uri| {
            if uri == "/hang" {
                Err(scene.hang())
            } else {
                Ok(uri.to_owned())
            }
        })
    });
    let show = Show::new(&stage, pool(2));
    let readers = [show.submit("/hang"), show.submit("/hang")];
    for number in [1, 2] {
        show.until(&worker(number), "busy", |node| node.current.is_some())
            .await;
    }
    show.handle.kill(NodeId::site("shop")).await.unwrap();
    for reader in readers {
        assert_eq!(response(reader).await.unwrap().0, 500);
    }
    let node = show
        .until(&worker(1), "back", |node| node.generation == 2)
        .await;
    assert_eq!(node.last_exit.unwrap().detail.reason, "killed");
    assert_eq!(show.get("/").await.0, 200);
    show.close().await;
}

#[tokio::test]
async fn what_does_not_exist_is_not_found() {
    let show = Show::new(&echo(), pool(1));
    for id in [
        "site:none",
        "site:shop:http:none",
        "site:shop:http:api:9",
        "classic:9",
        "x",
    ] {
        let id = NodeId::parse(id);
        assert_eq!(
            show.handle.restart(id.clone()).await,
            Err(SteerError::NotFound(id))
        );
    }
    show.close().await;
}

#[tokio::test]
async fn changes_are_told_as_they_happen() {
    let show = Show::new(&echo(), pool(1));
    show.state(&worker(1), State::Ready).await;
    let mut feed = show.handle.tree().subscribe();
    show.handle.restart(worker(1)).await.unwrap();
    let mut states = Vec::new();
    while states.last() != Some(&State::Ready) {
        match feed.next().await {
            Some(Change::Changed(node)) if node.id == worker(1) => states.push(node.state),
            _ => {}
        }
    }
    states.dedup();
    assert_eq!(states, [State::Draining, State::Starting, State::Ready]);
    show.close().await;
}
