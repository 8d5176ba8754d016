//! What FrankenPHP's admin endpoint answers, for the tools that ask it.

use actix_web::HttpResponse;
use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use serde::Serialize;
use troupe_actors::tree::{Kind, Node, NodeId, State};

use super::{Admin, json};
use crate::answer;

/// Restarts the workers of every site; the classic pool has no state to renew.
pub async fn restart(admin: &Admin) -> HttpResponse<BoxBody> {
    match admin.tree.restart(NodeId::root()).await {
        Ok(()) => HttpResponse::Ok()
            .content_type("text/plain; charset=utf-8")
            .body("workers restarted successfully\n"),
        Err(error) => answer::text(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Threads {
    thread_debug_states: Vec<Thread>,
    reserved_thread_count: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Thread {
    index: usize,
    name: String,
    state: &'static str,
    is_waiting: bool,
    is_busy: bool,
    waiting_since_milliseconds: u64,
}

pub fn threads(admin: &Admin) -> HttpResponse<BoxBody> {
    let root = admin.tree.tree().root();
    let nodes = root.iter().flat_map(Node::walk);
    let workers = nodes.filter_map(|node| Some((node, name(node)?)));
    let threads = workers.enumerate().map(|(index, (node, name))| {
        let is_busy = node.current.is_some() || node.state != State::Ready;
        Thread {
            index,
            name,
            state: state(node.state),
            is_waiting: !is_busy,
            is_busy,
            waiting_since_milliseconds: match is_busy {
                true => 0,
                false => u64::try_from(node.age.as_millis()).unwrap_or(u64::MAX),
            },
        }
    });
    json(&Threads {
        thread_debug_states: threads.collect(),
        // Threads are started when they are needed.
        reserved_thread_count: 0,
    })
}

fn name(node: &Node) -> Option<String> {
    match node.kind {
        Kind::ClassicWorker => Some("Regular PHP Thread".to_owned()),
        Kind::HttpWorker => Some(format!("Worker PHP Thread - {}", pool(node))),
        Kind::BackgroundWorker => Some(format!("Background Worker PHP Thread - {}", pool(node))),
        _ => None,
    }
}

/// The pool of a worker, by its id.
fn pool(worker: &Node) -> &str {
    worker.parent.as_ref().map_or("", NodeId::as_str)
}

fn state(state: State) -> &'static str {
    match state {
        State::Starting => "booting",
        // The latter two are states of tasks, which are no threads.
        State::Ready | State::Queued | State::Running => "ready",
        State::Draining => "restarting",
        State::Waiting => "inactive",
        State::Stopped => "done",
    }
}
