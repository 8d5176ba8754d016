//! The tree over real PHP threads: what a script can do to its worker, and that nobody else notices.
//!
//! One process has one PHP, so the tests share it; each has a tree of its own.

// The lint's exception for tests does not know helpers.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::ffi::CString;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use troupe_actors::supervision::{BackoffPolicy, ChildSpec};
use troupe_actors::tree::{Node, NodeId, State};
use troupe_actors::{
    Handle, PoolPort, PoolSpec, Refused, Script, ServerSpec, SiteSpec, Work, start,
};
use troupe_sapi::{
    Engine, EngineConfig, Outcome, Part, Request, RequestBody, ResponseReader, ServerVars, VarName,
    response_port,
};

fn engine() -> Arc<Engine> {
    static ENGINE: OnceLock<Arc<Engine>> = OnceLock::new();
    let start = || {
        let ini = vec![
            ("memory_limit".into(), "64M".into()),
            ("display_errors".into(), "0".into()),
        ];
        Arc::new(
            Engine::start(&EngineConfig {
                ini,
                ..EngineConfig::default()
            })
            .unwrap(),
        )
    };
    ENGINE.get_or_init(start).clone()
}

fn script(name: &str) -> CString {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/php")
        .join(name);
    CString::new(path.to_str().unwrap()).unwrap()
}

fn worker_pool(name: &str, threads: u32) -> PoolSpec {
    let work = Work::Http(Script {
        name: c"api".into(),
        path: script(name),
        env: Vec::new(),
    });
    let backoff = BackoffPolicy {
        base: Duration::from_millis(1),
        cap: Duration::from_millis(20),
        ..BackoffPolicy::default()
    };
    let worker = ChildSpec {
        backoff,
        ..ChildSpec::default()
    };
    PoolSpec {
        worker,
        ..PoolSpec::new("api", work, threads)
    }
}

fn serve(api: PoolSpec) -> Handle {
    let classic = PoolSpec::new("classic", Work::Classic, 1);
    let sites = vec![SiteSpec {
        name: "shop".into(),
        http: vec![api],
        background: Vec::new(),
    }];
    start(ServerSpec { classic, sites }, engine()).unwrap()
}

fn api() -> NodeId {
    NodeId::site("shop").http_pool("api")
}

fn worker(number: u32) -> NodeId {
    api().worker(number)
}

static REQUESTS: AtomicU64 = AtomicU64::new(1);

fn request(
    path: CString,
    query: &str,
    deadline: Option<Duration>,
) -> (Box<Request>, ResponseReader) {
    let (response, reader) = response_port();
    let mut vars = ServerVars::new();
    let method = vars.push(VarName::RequestMethod, "GET");
    let uri = vars.text(format!("/?{query}"));
    let query = vars.push(VarName::QueryString, query);
    let script = vars.text(path.as_bytes());
    let request = Request {
        id: REQUESTS.fetch_add(1, Ordering::Relaxed),
        received: Instant::now(),
        method,
        uri,
        query,
        script,
        content_type: None,
        content_length: 0,
        cookie: None,
        authorization: None,
        protocol: 1001,
        vars,
        scope: None,
        body: RequestBody::Empty,
        response,
        deadline,
        body_idle_timeout: None,
        write_idle_timeout: None,
    };
    (Box::new(request), reader)
}

fn submit(port: &PoolPort, query: &str, deadline: Option<Duration>) -> ResponseReader {
    let (request, reader) = request(script("worker.php"), query, deadline);
    assert!(port.submit(request).is_ok(), "{query} was not taken");
    reader
}

async fn answer(mut reader: ResponseReader) -> (u16, String) {
    let mut status = 0;
    let mut text = Vec::new();
    loop {
        match std::future::poll_fn(|cx| reader.poll_part(cx)).await {
            Ok(Part::Head { head, body, .. }) => {
                status = head.status;
                text.extend_from_slice(&body);
            }
            Ok(Part::Body(body)) => text.extend_from_slice(&body),
            Ok(Part::Informational(_)) => {}
            Err(Outcome::Complete) => return (status, String::from_utf8(text).unwrap()),
            Err(outcome) => panic!("{outcome:?}"),
        }
    }
}

async fn until(handle: &Handle, id: &NodeId, condition: impl Fn(&Node) -> bool) -> Node {
    let start = Instant::now();
    loop {
        match handle.tree().node(id) {
            Some(node) if condition(&node) => return node,
            node => assert!(
                start.elapsed() < Duration::from_secs(60),
                "never came: {node:?}"
            ),
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn end(handle: Handle) {
    let farewell = handle.shutdown(Duration::from_secs(10)).await;
    assert_eq!(
        (
            farewell.actors,
            farewell.lost_threads,
            handle.census().threads()
        ),
        (0, 0, 0)
    );
}

#[tokio::test]
async fn every_client_of_a_mix_of_faults_gets_its_own_answer() {
    let handle = serve(worker_pool("worker.php", 3));
    let port = handle.http("shop", "api").unwrap().clone();
    let kinds = ["", "", "", "exit", "", "throw", "", "memory", "", "status"];
    for round in 0..40 {
        let readers: Vec<_> = kinds
            .iter()
            .enumerate()
            .map(|(place, kind)| {
                let number = format!("{round}.{place}");
                (
                    *kind,
                    number.clone(),
                    submit(&port, &format!("do={kind}&n={number}"), None),
                )
            })
            .collect();
        for (kind, number, reader) in readers {
            let expected = match kind {
                "" => (200, format!("served {number}")),
                "exit" => (200, "bye".into()),
                "status" => (200, String::new()),
                _ => (500, String::new()),
            };
            assert_eq!(answer(reader).await, expected, "{kind} {number}");
        }
    }
    let counted = |node: &Node, reason| node.exits.get(reason).copied();
    let node = until(&handle, &api(), |node| {
        counted(node, "fatal_error") == Some(80) && counted(node, "exited") == Some(80)
    })
    .await;
    assert_eq!(
        node.failures.unwrap().in_window,
        0,
        "none of them was a failed boot"
    );
    assert_eq!(node.state, State::Ready);
    end(handle).await;
}

#[tokio::test]
async fn a_request_beyond_its_deadline_ends_and_its_worker_comes_back() {
    let handle = serve(worker_pool("worker.php", 1));
    let port = handle.http("shop", "api").unwrap().clone();
    for (number, kind) in ["loop", "sleep"].into_iter().enumerate() {
        let reader = submit(
            &port,
            &format!("do={kind}"),
            Some(Duration::from_millis(100)),
        );
        let (status, _) = answer(reader).await;
        assert!(status >= 500, "{kind}: {status}");
        assert_eq!(
            answer(submit(&port, "n=1", None)).await,
            (200, "served 1".into()),
            "after {kind}"
        );
        until(&handle, &worker(1), |node| {
            node.state == State::Ready && node.exits.get("deadline") == Some(&(number as u64 + 1))
        })
        .await;
    }
    assert_eq!(handle.census().lost_threads_ever(), 0);
    end(handle).await;
}

#[tokio::test]
async fn a_rolling_restart_under_load_fails_no_request() {
    let handle = serve(worker_pool("worker.php", 2));
    let port = handle.http("shop", "api").unwrap().clone();
    let rolling = handle.clone();
    let restarts = tokio::spawn(async move {
        for _ in 0..3 {
            rolling.restart(api()).await.unwrap();
        }
    });
    let mut served = 0;
    while !restarts.is_finished() || served < 100 {
        let readers: Vec<_> = (0..6)
            .map(|n| (n, submit(&port, &format!("n={n}"), None)))
            .collect();
        for (n, reader) in readers {
            assert_eq!(answer(reader).await, (200, format!("served {n}")));
            served += 1;
        }
    }
    restarts.await.unwrap();
    for number in [1, 2] {
        let node = until(&handle, &worker(number), |node| node.state == State::Ready).await;
        assert_eq!(node.generation, 4);
    }
    end(handle).await;
}

#[tokio::test]
async fn a_worker_that_is_stuck_shows_its_stack_and_can_be_killed() {
    let handle = serve(worker_pool("worker.php", 1));
    let port = handle.http("shop", "api").unwrap().clone();
    let reader = submit(&port, "do=loop", None);
    let node = until(&handle, &worker(1), |node| node.current.is_some()).await;
    assert_eq!(node.current.unwrap().what, "GET /?do=loop");
    let start = Instant::now();
    let stack = loop {
        match handle.backtrace(&worker(1)).await {
            Ok(stack) => break stack,
            Err(error) => assert!(start.elapsed() < Duration::from_secs(60), "{error}"),
        }
    };
    assert!(stack.contains("worker.php"), "{stack}");
    handle.kill(worker(1)).await.unwrap();
    assert_eq!(answer(reader).await.0, 500);
    assert_eq!(
        answer(submit(&port, "n=2", None)).await,
        (200, "served 2".into())
    );
    end(handle).await;
}

#[tokio::test]
async fn a_script_that_cannot_boot_shuts_the_door_with_its_error_and_leaves_others_alone() {
    let handle = serve(worker_pool("broken.php", 2));
    let port = handle.http("shop", "api").unwrap().clone();
    let node = until(&handle, &api(), |node| node.last_exit.is_some()).await;
    let exit = node.last_exit.unwrap().detail.to_string();
    assert!(
        exit.contains("no database") && exit.contains("broken.php:2"),
        "{exit}"
    );
    let (refused, _reader) = request(script("worker.php"), "", None);
    let Err(Refused::Down(_, outage)) = port.submit(refused) else {
        panic!("the door is open")
    };
    assert!(outage.reason.contains("no database"), "{outage:?}");
    let (request, reader) = request(script("classic.php"), "n=1", None);
    assert!(handle.classic().submit(request).is_ok());
    assert_eq!(answer(reader).await, (200, "classic 1".into()));
    end(handle).await;
}
