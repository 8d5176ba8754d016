//! What FrankenPHP's admin endpoint answers, for the tools that ask it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use actix_web::HttpResponse;
use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use serde::Serialize;
use troupe_actors::tree::{Kind, Node, NodeId, State};

use super::Admin;
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
    #[serde(rename = "CurrentURI")]
    current_uri: String,
    current_method: String,
    request_started_at: u64,
    request_count: u64,
    memory_usage: u64,
}

pub fn threads(admin: &Admin) -> HttpResponse<BoxBody> {
    let root = admin.tree.tree().root();
    let nodes = root.iter().flat_map(Node::walk);
    let workers = nodes.filter_map(|node| Some((node, name(admin, node)?)));
    let threads = Threads {
        thread_debug_states: workers
            .enumerate()
            .map(|(index, (node, name))| thread(index, name, node))
            .collect(),
        // Threads are started when they are needed.
        reserved_thread_count: 0,
    };
    let mut json = Vec::new();
    let format = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut writer = serde_json::Serializer::with_formatter(&mut json, format);
    match threads.serialize(&mut writer) {
        Ok(()) => HttpResponse::Ok()
            .content_type("application/json")
            .body(json),
        Err(error) => answer::text(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

fn thread(index: usize, name: String, node: &Node) -> Thread {
    let is_busy = node.current.is_some() || node.state != State::Ready;
    let current = node.current.as_ref();
    let (method, uri) = current
        .and_then(|current| current.what.split_once(' '))
        .unwrap_or_default();
    let started = current.and_then(|current| SystemTime::now().checked_sub(current.age));
    Thread {
        index,
        name,
        state: state(node.state),
        is_waiting: !is_busy,
        is_busy,
        waiting_since_milliseconds: match is_busy {
            true => 0,
            false => millis(node.age),
        },
        current_uri: uri.to_owned(),
        current_method: method.to_owned(),
        request_started_at: started
            .and_then(|started| started.duration_since(UNIX_EPOCH).ok())
            .map_or(0, millis),
        request_count: node.served.unwrap_or_default(),
        memory_usage: node.memory.unwrap_or_default(),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn name(admin: &Admin, node: &Node) -> Option<String> {
    match node.kind {
        Kind::ClassicWorker => Some("Regular PHP Thread".to_owned()),
        Kind::HttpWorker => Some(format!("Worker PHP Thread - {}", script(admin, node))),
        Kind::BackgroundWorker => Some(format!("Background Worker PHP Thread - {}", pool_of(node))),
        _ => None,
    }
}

/// The pool of a worker, by its id.
fn pool_of(worker: &Node) -> &str {
    worker.parent.as_ref().map_or("", NodeId::as_str)
}

/// The script of an HTTP worker, as FrankenPHP has it in a thread's name.
fn script<'a>(admin: &'a Admin, worker: &'a Node) -> &'a str {
    let pool = worker.parent.as_ref();
    let script = pool.and_then(|pool| admin.scripts.get(pool));
    script.map_or_else(|| pool_of(worker), String::as_str)
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
