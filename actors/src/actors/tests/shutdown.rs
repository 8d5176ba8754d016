//! The end: in order, with grace, then by force, and with nothing left.

use super::stage::{Gate, Stage};
use super::*;

#[tokio::test]
async fn requests_that_wait_or_run_are_finished_before_the_end() {
    let gate = Gate::new(true);
    let held = gate.clone();
    let stage = Stage::playing(move |scene| {
        scene.serve(|_, uri| {
            held.pass();
            Ok(uri.to_owned())
        })
    });
    let show = Show::new(&stage, pool(1));
    show.state(&worker(1), State::Ready).await;
    gate.set(false);
    let readers: Vec<_> = (0..5).map(|n| show.submit(&format!("/{n}"))).collect();
    let handle = show.handle.clone();
    let shutdown = tokio::spawn(async move { handle.shutdown(Duration::from_secs(60)).await });
    show.state(&worker(1), State::Draining).await;
    let (late, _reader) = request("/late");
    assert!(
        matches!(show.api().submit(late), Err(Refused::Down(..))),
        "nothing new is taken"
    );
    gate.set(true);
    for (n, reader) in readers.into_iter().enumerate() {
        assert_eq!(response(reader).await, Ok((200, format!("/{n}"))));
    }
    assert_eq!(
        shutdown.await.unwrap(),
        Farewell {
            lost_threads: 0,
            actors: 0
        }
    );
    show.close().await;
}

#[tokio::test]
async fn the_classic_pool_stops_before_the_sites_do() {
    let gate = Gate::new(true);
    let held = gate.clone();
    let stage = Stage::classic(move |_, uri| {
        held.pass();
        Ok(uri.to_owned())
    });
    let show = Show::new(&stage, pool(1));
    show.state(&worker(1), State::Ready).await;
    gate.set(false);
    let (request, reader) = request("/");
    assert!(show.handle.classic().submit(request).is_ok());
    show.until(&NodeId::classic().worker(1), "busy", |node| {
        node.current.is_some()
    })
    .await;
    let handle = show.handle.clone();
    let shutdown = tokio::spawn(async move { handle.shutdown(Duration::from_secs(60)).await });
    show.state(&NodeId::classic().worker(1), State::Draining)
        .await;
    assert_eq!(show.node(&worker(1)).unwrap().state, State::Ready);
    gate.set(true);
    assert_eq!(response(reader).await.unwrap().0, 200);
    shutdown.await.unwrap();
    show.close().await;
}

#[tokio::test]
async fn a_script_that_hangs_is_forced_when_the_grace_is_over() {
    let stage = Stage::playing(|scene| scene.serve(|scene, _| Err(scene.hang())));
    let show = Show::new(&stage, pool(2));
    let readers = [show.submit("/a"), show.submit("/b")];
    for number in [1, 2] {
        show.until(&worker(number), "busy", |node| node.current.is_some())
            .await;
    }
    let farewell = show.handle.shutdown(Duration::from_millis(10)).await;
    assert_eq!(
        farewell,
        Farewell {
            lost_threads: 0,
            actors: 0
        }
    );
    for reader in readers {
        assert_eq!(response(reader).await.unwrap().0, 500);
    }
    show.close().await;
}

#[tokio::test]
async fn a_thread_that_cannot_be_ended_does_not_hold_the_end_up_and_is_told() {
    let stage = Stage::playing(|scene| {
        scene.serve(|scene, _| {
            scene.hang_for_good();
            Ok(String::new())
        })
    });
    let show = Show::new(&stage, impatient(1));
    let _stuck = show.submit("/stuck");
    let waiting = show.submit("/waits");
    show.until(&worker(1), "busy", |node| node.current.is_some())
        .await;
    let farewell = show.handle.shutdown(Duration::from_millis(10)).await;
    assert_eq!(
        farewell,
        Farewell {
            lost_threads: 1,
            actors: 0
        }
    );
    assert_eq!(
        response(waiting).await.unwrap().0,
        503,
        "who waited is told that nobody comes"
    );
    show.close().await;
}

#[tokio::test]
async fn the_end_comes_while_workers_wait_for_their_backoff() {
    let mut patient = pool(2);
    patient.worker.backoff.base = Duration::from_secs(3600);
    patient.worker.backoff.cap = Duration::from_secs(3600);
    let stage = Stage::playing(|_| super::stage::fatal("never boots"));
    let show = Show::new(&stage, patient);
    for number in [1, 2] {
        show.state(&worker(number), State::Waiting).await;
    }
    show.close().await;
}

#[tokio::test]
async fn the_end_comes_while_a_script_boots() {
    let stage = Stage::playing(|scene| scene.hang());
    let show = Show::new(&stage, pool(1));
    eventually("it boots", || (stage.runs() >= 1).then_some(())).await;
    let farewell = show.handle.shutdown(Duration::from_millis(10)).await;
    assert_eq!(
        farewell,
        Farewell {
            lost_threads: 0,
            actors: 0
        }
    );
    show.close().await;
}

#[tokio::test]
async fn whoever_waits_for_a_restart_is_told_that_the_server_stops() {
    let stage = Stage::playing(|scene| {
        scene.serve(|scene, uri| {
            if uri == "/hang" {
                Err(scene.hang())
            } else {
                Ok(uri.to_owned())
            }
        })
    });
    let show = Show::new(&stage, pool(1));
    let _hang = show.submit("/hang");
    show.until(&worker(1), "busy", |node| node.current.is_some())
        .await;
    let handle = show.handle.clone();
    let restart = tokio::spawn(async move { handle.restart(api()).await });
    show.state(&worker(1), State::Draining).await;
    show.handle.shutdown(Duration::from_millis(10)).await;
    assert_eq!(restart.await.unwrap(), Err(SteerError::Gone));
    assert_eq!(show.handle.drain(api()).await, Err(SteerError::Gone));
    assert_eq!(show.handle.ended().await, None);
    show.close().await;
}

#[test]
fn two_nodes_of_one_name_are_refused() {
    let site = |name: &str| SiteSpec {
        name: name.into(),
        http: vec![pool(1), pool(1)],
        background: Vec::new(),
    };
    let spec = ServerSpec {
        classic: classic(1),
        sites: vec![site("shop")],
    };
    let stage = Stage::playing(|scene| scene.serve(|_, uri| Ok(uri.to_owned())));
    let refused = start(spec, Arc::new(Theatre(stage)));
    assert!(matches!(refused, Err(StartError::Duplicate(id)) if id == api()));
}
