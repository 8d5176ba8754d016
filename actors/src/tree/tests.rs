use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::*;
use crate::supervision::{Detail, Intensity, Window};

/// root ─ site shop ─ http pool api ─ worker 1, worker 2
fn planted() -> (Tree, Vec<Entry>) {
    let tree = Tree::default();
    let site = NodeId::site("shop");
    let pool = site.http_pool("api");
    let entries = vec![
        tree.enter(NodeId::root(), Kind::Root, "root", None),
        tree.enter(site.clone(), Kind::Site, "shop", Some(&NodeId::root())),
        tree.enter(pool.clone(), Kind::HttpPool, "api", Some(&site)),
        tree.enter(pool.worker(1), Kind::HttpWorker, "1", Some(&pool)),
        tree.enter(pool.worker(2), Kind::HttpWorker, "2", Some(&pool)),
    ];
    (tree, entries)
}

#[test]
fn the_tree_nests_children_in_the_order_they_came() {
    let (tree, _entries) = planted();
    let ids: Vec<String> = tree
        .root()
        .unwrap()
        .walk()
        .map(|node| node.id.to_string())
        .collect();
    assert_eq!(
        ids,
        [
            "root",
            "site:shop",
            "site:shop:http:api",
            "site:shop:http:api:1",
            "site:shop:http:api:2"
        ]
    );
}

#[test]
fn a_node_leaves_with_its_owner() {
    let (tree, mut entries) = planted();
    let worker = entries.remove(3);
    let id = worker.id().clone();
    drop(worker);
    assert!(tree.node(&id).is_none());
    assert_eq!(tree.root().unwrap().walk().count(), 4);
    drop(entries);
    assert!(tree.is_empty());
}

#[test]
fn what_changes_with_every_request_is_read_when_asked() {
    let (tree, entries) = planted();
    let served = Arc::new(AtomicU64::new(1));
    let counter = served.clone();
    entries[3].probe(Some(Arc::new(move || Live {
        served: Some(counter.load(Ordering::SeqCst)),
        ..Live::default()
    })));
    served.store(7, Ordering::SeqCst);
    assert_eq!(tree.node(entries[3].id()).unwrap().served, Some(7));
}

#[test]
fn a_probe_may_read_the_tree() {
    let (tree, entries) = planted();
    let inner = tree.clone();
    entries[3].probe(Some(Arc::new(move || Live {
        served: Some(inner.len() as u64),
        ..Live::default()
    })));
    assert_eq!(tree.node(entries[3].id()).unwrap().served, Some(5));
}

#[test]
fn since_moves_only_when_the_state_does() {
    let (tree, entries) = planted();
    let long_ago = std::time::SystemTime::UNIX_EPOCH;
    entries[3].update(|facts| facts.since.1 = long_ago);
    entries[3].update(|facts| facts.generation = 2);
    assert_eq!(tree.node(entries[3].id()).unwrap().since, long_ago);
    entries[3].state(State::Starting);
    assert_eq!(tree.node(entries[3].id()).unwrap().since, long_ago);
    entries[3].state(State::Ready);
    assert_ne!(tree.node(entries[3].id()).unwrap().since, long_ago);
}

#[test]
fn an_entry_that_was_replaced_speaks_for_nobody() {
    let (tree, mut entries) = planted();
    let old = entries.remove(3);
    let new = tree.enter(
        old.id().clone(),
        Kind::HttpWorker,
        "1",
        Some(entries[2].id()),
    );
    old.state(State::Stopped);
    drop(old);
    assert_eq!(tree.node(new.id()).unwrap().state, State::Starting);
    assert_eq!(tree.root().unwrap().walk().count(), 5);
}

#[test]
fn json_tells_everything_an_operator_needs() {
    let (tree, entries) = planted();
    let mut window = Window::new(Intensity {
        limit: 5,
        period: Duration::from_secs(30),
    });
    window.fail(Instant::now());
    entries[2].update(|facts| {
        facts.state = State::Waiting;
        facts.generation = 3;
        facts.failures = Some(window);
        facts.next_start = Some(Instant::now() + Duration::from_secs(60));
        facts.exited(Detail {
            reason: "uncaught_exception",
            message: Some("no database".into()),
            file: Some("/srv/worker.php".into()),
            line: Some(12),
        });
    });
    entries[2].probe(Some(Arc::new(|| Live {
        current: Some(Current {
            id: 9,
            what: "GET /x".into(),
            age: Duration::from_millis(1500),
        }),
        served: Some(41),
        memory: Some(2_000_000),
        queue: Some(Queue {
            depth: 3,
            capacity: 64,
        }),
        ..Live::default()
    })));
    let json = serde_json::to_value(tree.node(entries[2].id()).unwrap()).unwrap();
    assert_eq!(json["id"], "site:shop:http:api");
    assert_eq!(json["kind"], "http_pool");
    assert_eq!(json["name"], "api");
    assert_eq!(json["parent"], "site:shop");
    assert_eq!(json["state"], "waiting");
    assert!(json["since_ms"].as_u64().unwrap() > 1_600_000_000_000);
    assert!(json["for_ms"].is_u64());
    assert_eq!(json["generation"], 3);
    assert_eq!(json["exits"]["uncaught_exception"], 1);
    assert_eq!(json["failures"]["in_window"], 1);
    assert_eq!(json["failures"]["limit"], 5);
    assert_eq!(json["failures"]["window_s"], 30);
    assert!(json["next_start_in_ms"].as_u64().unwrap() > 50_000);
    assert_eq!(json["last_exit"]["message"], "no database");
    assert_eq!(json["last_exit"]["file"], "/srv/worker.php");
    assert_eq!(json["last_exit"]["line"], 12);
    assert!(json["last_exit"]["at_ms"].is_u64());
    assert_eq!(json["current"]["what"], "GET /x");
    assert_eq!(json["current"]["for_ms"], 1_500);
    assert_eq!(json["served"], 41);
    assert_eq!(json["memory_bytes"], 2_000_000);
    assert_eq!(json["queue"]["depth"], 3);
    assert_eq!(json["children"].as_array().unwrap().len(), 2);
    assert!(
        json["children"][0].get("current").is_none(),
        "what is not known is left out"
    );
}

#[test]
fn the_picture_shows_branches_states_and_exits() {
    let (tree, entries) = planted();
    entries[3].update(|facts| {
        facts.state = State::Ready;
        facts.generation = 2;
        facts.exited(Detail::message("fatal_error", "out of memory"));
    });
    let text = picture(&tree.root().unwrap());
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("root "), "{text}");
    assert!(lines[1].starts_with("└─ site shop "), "{text}");
    assert!(lines[3].starts_with("      ├─ worker 1 "), "{text}");
    assert!(
        lines[3].ends_with("start 2, last exit fatal_error: out of memory"),
        "{text}"
    );
    assert!(lines[4].starts_with("      └─ worker 2 "), "{text}");
    let at = |line: &str, word: &str| line[..line.find(word).unwrap()].chars().count();
    assert_eq!(at(lines[3], "ready"), at(lines[4], "starting"), "{text}");
}

#[tokio::test]
async fn listeners_hear_of_every_change_and_of_those_they_missed() {
    let (tree, mut entries) = planted();
    let mut feed = tree.subscribe();
    entries[3].state(State::Ready);
    let Some(Change::Changed(node)) = feed.next().await else {
        panic!("a change")
    };
    assert_eq!(
        (node.id.as_str(), node.state),
        ("site:shop:http:api:1", State::Ready)
    );
    drop(entries.remove(4));
    let Some(Change::Removed(id)) = feed.next().await else {
        panic!("a removal")
    };
    assert_eq!(id.as_str(), "site:shop:http:api:2");
    for _ in 0..300 {
        entries[3].state(State::Ready);
    }
    assert!(matches!(feed.next().await, Some(Change::Missed(missed)) if missed >= 44));
    drop((tree, entries));
    let mut rest = Vec::new();
    while let Some(change) = feed.next().await {
        rest.push(change);
    }
    assert!(
        matches!(rest.last(), Some(Change::Removed(id)) if *id == NodeId::root() || id.as_str().starts_with("site"))
    );
}
