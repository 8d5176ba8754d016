//! The tree and its nodes: read, drawn, steered.

use actix_web::HttpResponse;
use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use troupe_actors::tree::{NodeId, picture};
use troupe_actors::{BacktraceError, SteerError};

use super::{Admin, json};
use crate::answer;

pub fn tree(admin: &Admin, query: &str) -> HttpResponse<BoxBody> {
    let Some(root) = admin.tree.tree().root() else {
        return answer::text(StatusCode::SERVICE_UNAVAILABLE, "The tree has ended");
    };
    match query
        .split('&')
        .find_map(|pair| pair.strip_prefix("format="))
    {
        None | Some("json") => json(&root),
        Some("text") => HttpResponse::Ok()
            .content_type("text/plain; charset=utf-8")
            .body(picture(&root)),
        Some(_) => answer::text(StatusCode::BAD_REQUEST, "The format is json or text"),
    }
}

pub fn one(admin: &Admin, id: &str) -> HttpResponse<BoxBody> {
    let id = NodeId::parse(id);
    match admin.tree.tree().node(&id) {
        Some(node) => json(&node),
        None => no_such_node(&id),
    }
}

/// Answers when it is done; a restart of many workers takes its time.
pub async fn steer(admin: &Admin, id: &str, action: &str) -> HttpResponse<BoxBody> {
    let id = NodeId::parse(id);
    let tree = &admin.tree;
    let done = match action {
        "restart" => tree.restart(id.clone()).await,
        "drain" => tree.drain(id.clone()).await,
        "kill" => tree.kill(id.clone()).await,
        "cancel" => tree.cancel(id.clone()).await,
        _ => return answer::status(StatusCode::NOT_FOUND),
    };
    tracing::info!(node = %id, action, ok = done.is_ok(), "steered by the admin endpoint");
    match done {
        Ok(()) => answer::text(StatusCode::OK, "Done"),
        Err(SteerError::NotFound(id)) => no_such_node(&id),
        Err(error @ SteerError::Unfit(_)) => answer::text(StatusCode::CONFLICT, &error.to_string()),
        Err(error @ SteerError::Halted { .. }) => {
            answer::text(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string())
        }
        Err(error @ SteerError::Gone) => {
            answer::text(StatusCode::SERVICE_UNAVAILABLE, &error.to_string())
        }
    }
}

pub async fn backtrace(admin: &Admin, id: &str) -> HttpResponse<BoxBody> {
    match admin.tree.backtrace(&NodeId::parse(id)).await {
        Ok(stack) => HttpResponse::Ok()
            .content_type("text/plain; charset=utf-8")
            .body(stack),
        Err(error @ BacktraceError::NoThread(_)) => {
            answer::text(StatusCode::NOT_FOUND, &error.to_string())
        }
        Err(error @ BacktraceError::Unavailable) => {
            answer::text(StatusCode::SERVICE_UNAVAILABLE, &error.to_string())
        }
    }
}

fn no_such_node(id: &NodeId) -> HttpResponse<BoxBody> {
    answer::text(StatusCode::NOT_FOUND, &format!("There is no node {id}"))
}
