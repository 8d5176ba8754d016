//! Actors that panic: bugs of ours are exits like others.

use std::sync::atomic::Ordering;

use super::stage::Stage;
use super::*;
use crate::supervision::ScalingPolicy;

fn echo_or_hang() -> Arc<Stage> {
    Stage::playing(|scene| {
        scene.serve(|scene, uri| {
            if uri == "/hang" {
                Err(scene.hang())
            } else {
                Ok(uri.to_owned())
            }
        })
    })
}

/// A pool that looks at its added threads all the time.
fn looking(pool: PoolSpec) -> PoolSpec {
    let scaling = ScalingPolicy {
        grow_after: Duration::from_millis(1),
        shrink_after: Duration::from_millis(50),
        ..ScalingPolicy::between(1, 2)
    };
    PoolSpec { scaling, ..pool }
}

#[tokio::test]
async fn a_worker_that_panics_is_an_exit_and_its_pool_starts_another() {
    let stage = echo_or_hang();
    stage.panic_in_spawn.store(2, Ordering::SeqCst);
    let show = Show::new(&stage, pool(2));
    for number in [1, 2] {
        show.state(&worker(number), State::Ready).await;
    }
    assert_eq!(show.get("/").await.0, 200);
    let panics = |id: &NodeId| {
        show.node(id)
            .unwrap()
            .exits
            .get("panicked")
            .copied()
            .unwrap_or_default()
    };
    let classic = NodeId::classic();
    assert_eq!(panics(&api()) + panics(&classic), 2);
    let in_window = |id: &NodeId| show.node(id).unwrap().failures.unwrap().in_window;
    assert_eq!(
        in_window(&api()) + in_window(&classic),
        2,
        "a bug of ours counts"
    );
    show.close().await;
}

#[tokio::test]
async fn a_pool_that_panics_takes_its_workers_along_and_comes_back_with_new_ones() {
    let stage = echo_or_hang();
    // The first look at a thread that was added is the pool's own, and its last.
    stage.panic_after_threads.store(2, Ordering::SeqCst);
    stage.panic_in_look.store(1, Ordering::SeqCst);
    let show = Show::new(&stage, looking(pool(1)));
    show.state(&NodeId::classic().worker(1), State::Ready).await;
    show.state(&worker(1), State::Ready).await;
    let hanging = show.submit("/hang");
    show.until(&worker(1), "busy", |node| node.current.is_some())
        .await;
    let other = show.submit("/other");
    assert_eq!(
        response(hanging).await.unwrap().0,
        500,
        "its script was ended with its pool"
    );
    let node = show
        .until(&api(), "a second life", |node| node.generation == 2)
        .await;
    assert_eq!(
        node.last_exit.unwrap().detail.to_string(),
        "panicked: as the test wants it: a panic in look"
    );
    assert_eq!(response(other).await.unwrap().0, 200);
    assert_eq!(show.get("/again").await, (200, "/again".into()));
    show.close().await;
}

#[tokio::test]
async fn a_root_whose_children_panic_again_and_again_ends_and_says_why() {
    let stage = Stage::classic(|scene, uri| {
        if uri == "/hang" {
            Err(scene.hang())
        } else {
            Ok(uri.to_owned())
        }
    });
    let show = Show::with(&stage, looking(classic(1)), vec![pool(1)]);
    show.state(&worker(1), State::Ready).await;
    stage.panic_in_look.store(usize::MAX, Ordering::SeqCst);
    // A second thread makes the pool look, and so panic, in each of its lives.
    let port = show.handle.classic().clone();
    let load = tokio::spawn(async move {
        let mut readers = Vec::new();
        while port.is_open() && readers.len() < 1_000 {
            let (request, reader) = request("/hang");
            if port.submit(request).is_ok() {
                readers.push(reader);
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
    let reason = show.handle.ended().await.expect("the root gave up");
    assert!(
        reason.contains("4 failed boots within 60 s") && reason.contains("panic in look"),
        "{reason}"
    );
    load.abort();
    stage.panic_in_look.store(0, Ordering::SeqCst);
    show.close().await;
}
