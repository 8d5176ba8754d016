//! Requests, in both modes, and what the tree tells meanwhile.

use std::sync::atomic::Ordering;

use super::stage::{Stage, in_turn};
use super::*;
use crate::supervision::{RecyclePolicy, Restart};

fn echo() -> Arc<Stage> {
    Stage::playing(|scene| scene.serve(|_, uri| Ok(uri.to_owned())))
}

#[tokio::test]
async fn a_worker_boots_once_and_serves_request_after_request() {
    let show = Show::new(&echo(), pool(1));
    for n in 0..50 {
        assert_eq!(show.get(&format!("/{n}")).await, (200, format!("/{n}")));
    }
    let node = show.state(&worker(1), State::Ready).await;
    assert_eq!((node.generation, node.served), (1, Some(50)));
    show.close().await;
}

#[tokio::test]
async fn the_classic_pool_serves_beside_the_workers() {
    let show = Show::new(&echo(), pool(1));
    let (request, reader) = request("/index.php");
    assert!(show.handle.classic().submit(request).is_ok());
    assert_eq!(response(reader).await, Ok((200, "/index.php".into())));
    assert_eq!(show.get("/api").await, (200, "/api".into()));
    show.close().await;
}

#[tokio::test]
async fn the_tree_tells_who_is_there() {
    let show = Show::new(&echo(), pool(2));
    for number in [1, 2] {
        show.state(&worker(number), State::Ready).await;
    }
    show.state(&NodeId::classic().worker(1), State::Ready).await;
    let mut ids: Vec<String> = show
        .handle
        .tree()
        .root()
        .unwrap()
        .walk()
        .map(|node| node.id.to_string())
        .collect();
    ids.sort();
    let expected = [
        "classic",
        "classic:1",
        "root",
        "site:shop",
        "site:shop:http:api",
        "site:shop:http:api:1",
        "site:shop:http:api:2",
    ];
    assert_eq!(ids, expected);
    show.close().await;
}

#[tokio::test]
async fn the_tree_tells_what_a_busy_worker_does_and_its_stack() {
    let stage = Stage::playing(|scene| {
        scene.serve(|scene, uri| match uri {
            "/hang" => Err(scene.hang()),
            uri => Ok(uri.to_owned()),
        })
    });
    let show = Show::new(&stage, pool(1));
    let reader = show.submit("/hang");
    show.submit("/waits");
    let node = show
        .until(&worker(1), "busy", |node| node.current.is_some())
        .await;
    assert_eq!(node.current.unwrap().what, "GET /hang");
    assert_eq!(show.node(&api()).unwrap().queue.unwrap().depth, 1);
    assert_eq!(
        show.handle.backtrace(&worker(1)).await,
        Ok("#0 /hang".into())
    );
    assert_eq!(
        show.handle.backtrace(&worker(9)).await,
        Err(BacktraceError::NoThread(worker(9)))
    );
    show.handle.kill(worker(1)).await.unwrap();
    assert_eq!(response(reader).await.unwrap().0, 500);
    show.close().await;
}

#[tokio::test]
async fn a_full_queue_refuses_and_hands_the_request_back() {
    let stage = Stage::playing(|scene| scene.serve(|scene, _| Err(scene.hang())));
    let show = Show::new(
        &stage,
        PoolSpec {
            queue_capacity: 1,
            ..pool(1)
        },
    );
    let busy = show.submit("/busy");
    show.until(&worker(1), "busy", |node| node.current.is_some())
        .await;
    let waiting = show.submit("/waits");
    let (one_too_many, _reader) = request("/full");
    let Err(Refused::Full(request)) = show.api().submit(one_too_many) else {
        panic!("it was taken")
    };
    assert_eq!(request.vars.get(request.uri), b"/full");
    for reader in [busy, waiting] {
        show.until(&worker(1), "busy", |node| node.current.is_some())
            .await;
        show.handle.kill(worker(1)).await.unwrap();
        assert_eq!(response(reader).await.unwrap().0, 500);
    }
    show.close().await;
}

#[tokio::test]
async fn times_are_counted() {
    let show = Show::new(&echo(), pool(1));
    for _ in 0..5 {
        show.get("/").await;
    }
    let served = |histogram: &Histogram| histogram.read().cumulative[BOUNDS.len()];
    eventually("five are counted", || {
        (served(&show.api().stats().service) == 5).then_some(())
    })
    .await;
    assert_eq!(served(&show.api().stats().wait), 5);
    show.close().await;
}

#[tokio::test]
async fn a_worker_is_recycled_after_max_requests_on_its_thread_and_nobody_notices() {
    let recycle = RecyclePolicy {
        max_requests: Some(1),
        ..RecyclePolicy::default()
    };
    let stage = echo();
    let show = Show::with(&stage, classic(1), vec![PoolSpec { recycle, ..pool(1) }]);
    for n in 0..20 {
        assert_eq!(show.get(&format!("/{n}")).await, (200, format!("/{n}")));
    }
    show.until(&worker(1), "recycled", |node| {
        node.exits.get("max_requests") >= Some(&19) && node.generation >= 20
    })
    .await;
    assert_eq!(
        stage.spawned.load(Ordering::SeqCst),
        2,
        "one thread for the worker, one for the classic pool"
    );
    assert_eq!(show.node(&api()).unwrap().failures.unwrap().in_window, 0);
    show.close().await;
}

#[tokio::test]
async fn a_classic_thread_is_recycled_by_a_new_thread() {
    let recycle = RecyclePolicy {
        max_requests: Some(2),
        ..RecyclePolicy::default()
    };
    let stage = Stage::classic(|_, uri| Ok(uri.to_owned()));
    let show = Show::with(
        &stage,
        PoolSpec {
            recycle,
            ..classic(1)
        },
        vec![],
    );
    for n in 0..10 {
        let (request, reader) = request(&format!("/{n}"));
        assert!(show.handle.classic().submit(request).is_ok());
        assert_eq!(response(reader).await, Ok((200, format!("/{n}"))));
    }
    let first = NodeId::classic().worker(1);
    show.until(&first, "recycled", |node| {
        node.exits.get("max_requests") >= Some(&4)
    })
    .await;
    show.close().await;
}

#[tokio::test]
async fn recycled_workers_are_never_away_all_at_once() {
    // Four workers that are due after every request: one of them at a time may go.
    let recycle = RecyclePolicy {
        max_requests: Some(1),
        ..RecyclePolicy::default()
    };
    let away = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let most = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let (gone, peak) = (away.clone(), most.clone());
    let stage = Stage::playing(move |scene| {
        if scene.run >= 4 {
            // Booting again.
            let now = gone.fetch_add(1, Ordering::SeqCst) + 1;
            peak.fetch_max(now, Ordering::SeqCst);
            std::thread::yield_now();
            gone.fetch_sub(1, Ordering::SeqCst);
        }
        scene.serve(|_, uri| Ok(uri.to_owned()))
    });
    let show = Show::with(&stage, classic(1), vec![PoolSpec { recycle, ..pool(4) }]);
    for number in 1..=4 {
        show.state(&worker(number), State::Ready).await;
    }
    while stage.runs() < 50 {
        let readers: Vec<_> = (0..8).map(|_| show.submit("/")).collect();
        for reader in readers {
            assert_eq!(response(reader).await.unwrap().0, 200);
        }
    }
    assert_eq!(most.load(Ordering::SeqCst), 1);
    show.close().await;
}

#[tokio::test]
async fn a_transient_worker_that_ends_well_rests_and_one_that_fails_comes_back() {
    let next = in_turn([Err(troupe_sapi::ScriptExit::Exited { status: 3 }), Ok(())]);
    let stage = Stage::playing(move |scene| {
        let end = next();
        scene.serve(|_, _| match &end {
            Ok(()) => Err(troupe_sapi::ScriptExit::Returned),
            Err(exit) => Err(exit.clone()),
        })
    });
    let transient = ChildSpec {
        restart: Restart::Transient,
        ..quick()
    };
    let show = Show::new(
        &stage,
        PoolSpec {
            worker: transient,
            ..pool(1)
        },
    );
    show.get("/fails").await;
    show.get("/returns").await;
    let node = show.state(&worker(1), State::Stopped).await;
    assert_eq!(
        (
            node.generation,
            node.exits.get("exited"),
            node.exits.get("returned")
        ),
        (2, Some(&1), Some(&1))
    );
    show.close().await;
}
