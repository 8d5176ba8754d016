//! Pools that grow under load and shrink when idle.

use super::stage::{Gate, Stage};
use super::*;
use crate::supervision::ScalingPolicy;

fn elastic(threads: u32, max_threads: u32) -> ScalingPolicy {
    ScalingPolicy {
        grow_after: Duration::from_millis(2),
        shrink_after: Duration::from_millis(20),
        ..ScalingPolicy::between(threads, max_threads)
    }
}

#[tokio::test]
async fn a_pool_grows_while_requests_wait_and_shrinks_when_they_are_gone() {
    let gate = Gate::new(true);
    let held = gate.clone();
    let stage = Stage::playing(move |scene| {
        scene.serve(|_, uri| {
            held.pass();
            Ok(uri.to_owned())
        })
    });
    let show = Show::new(
        &stage,
        PoolSpec {
            scaling: elastic(1, 3),
            ..pool(1)
        },
    );
    show.state(&worker(1), State::Ready).await;
    gate.set(false);
    let readers: Vec<_> = (0..6).map(|n| show.submit(&format!("/{n}"))).collect();
    for number in [2, 3] {
        show.until(&worker(number), "serves", |node| node.current.is_some())
            .await;
    }
    assert_eq!(show.node(&api()).unwrap().children.len(), 3, "and no more");
    gate.set(true);
    for reader in readers {
        assert_eq!(response(reader).await.unwrap().0, 200);
    }
    show.until(&api(), "one worker left", |node| node.children.len() == 1)
        .await;
    assert_eq!(show.get("/after").await, (200, "/after".into()));
    show.close().await;
}

#[tokio::test]
async fn the_classic_pool_scales_too() {
    let gate = Gate::new(true);
    let held = gate.clone();
    let stage = Stage::classic(move |_, uri| {
        held.pass();
        Ok(uri.to_owned())
    });
    let show = Show::with(
        &stage,
        PoolSpec {
            scaling: elastic(1, 2),
            ..classic(1)
        },
        vec![],
    );
    gate.set(false);
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let (request, reader) = request("/");
            assert!(show.handle.classic().submit(request).is_ok());
            reader
        })
        .collect();
    show.until(&NodeId::classic().worker(2), "serves", |node| {
        node.current.is_some()
    })
    .await;
    gate.set(true);
    for reader in readers {
        assert_eq!(response(reader).await.unwrap().0, 200);
    }
    show.until(&NodeId::classic(), "one thread left", |node| {
        node.children.len() == 1
    })
    .await;
    show.close().await;
}
