//! For orchestrators: is it alive, is it ready.

use actix_web::HttpResponse;
use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use troupe_actors::tree::{Kind, Node, State};

use super::Admin;
use crate::answer;

/// Alive until the tree has ended: then the process is on its way out, and better restarted.
pub fn alive(admin: &Admin) -> HttpResponse<BoxBody> {
    match admin.tree.tree().is_empty() {
        false => answer::text(StatusCode::OK, "Alive"),
        true => answer::text(StatusCode::SERVICE_UNAVAILABLE, "The tree has ended"),
    }
}

/// Ready while every pool that serves requests has a worker to serve them with.
pub fn ready(admin: &Admin) -> HttpResponse<BoxBody> {
    if admin.is_stopping() {
        return answer::text(StatusCode::SERVICE_UNAVAILABLE, "Stopping");
    }
    let root = admin.tree.tree().root();
    let unready = root.as_ref().map(unready_pools).unwrap_or_default();
    match unready.as_slice() {
        [] if root.is_some() => answer::text(StatusCode::OK, "Ready"),
        unready => {
            let text = format!("No worker is ready in: {}", unready.join(", "));
            answer::text(StatusCode::SERVICE_UNAVAILABLE, &text)
        }
    }
}

fn unready_pools(root: &Node) -> Vec<String> {
    let serves = |node: &&Node| matches!(node.kind, Kind::ClassicPool | Kind::HttpPool);
    let pools = root.walk().filter(serves);
    let is_unready = |pool: &&Node| {
        !pool
            .children
            .iter()
            .any(|worker| worker.state == State::Ready)
    };
    pools
        .filter(is_unready)
        .map(|pool| pool.id.to_string())
        .collect()
}
