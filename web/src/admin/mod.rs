//! The admin endpoint: shows and steers the supervision tree.
//!
//! | request | answer |
//! | --- | --- |
//! | `GET /tree` | the tree as JSON; with `?format=text` as a picture for terminals |
//! | `GET /tree/events` | its changes, as server-sent events |
//! | `GET /nodes/{id}` | one node and what is below it |
//! | `GET /nodes/{id}/backtrace` | the PHP stack of what a worker runs |
//! | `POST /nodes/{id}/restart`, `…/drain`, `…/kill` | done to one worker, a pool, a site or all |
//! | `POST /nodes/{id}/cancel` | ends a task |
//! | `GET /metrics` | Prometheus text |
//! | `GET /readyz`, `GET /healthz` | for orchestrators |
//! | `POST /frankenphp/workers/restart`, `GET /frankenphp/threads` | as FrankenPHP answers them |
//!
//! It has an I/O thread and listeners of its own and asks no PHP thread and, to read, no actor: so it
//! answers while all of them are stuck. The health endpoint is the read-only part of it.

mod access;
mod events;
mod frankenphp;
mod health;
mod metrics;
mod nodes;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix_web::body::BoxBody;
use actix_web::http::{Method, StatusCode, header};
use actix_web::{HttpRequest, HttpResponse};
use troupe_actors::Handle;
use troupe_actors::tree::NodeId;

use crate::answer;

/// What the endpoint knows.
pub struct Admin {
    pub tree: Handle,
    pub token: Option<String>,
    /// The script of each HTTP worker's pool.
    pub scripts: HashMap<NodeId, String>,
    /// The server takes no new requests.
    pub is_stopping: AtomicBool,
    /// The embedded PHP's.
    pub php_version: String,
}

impl Admin {
    fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::SeqCst)
    }
}

/// Which part of the endpoint is offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offer {
    /// All of it, to whoever may.
    Everything,
    /// Health and metrics, to everyone.
    Health,
}

/// Answers a request to the part that is offered.
pub async fn respond(
    admin: Arc<Admin>,
    request: HttpRequest,
    offer: Offer,
) -> HttpResponse<BoxBody> {
    let (admin, request) = (&*admin, &request);
    let path = request.uri().path();
    let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
    let public = match segments.as_slice() {
        ["readyz"] => Some(health::ready(admin)),
        ["healthz"] => Some(health::alive(admin)),
        ["metrics"] => Some(metrics::answer(admin)),
        _ => None,
    };
    if offer == Offer::Health {
        return public.unwrap_or_else(|| answer::status(StatusCode::NOT_FOUND));
    }
    if let Err(kept_out) = access::check(admin.token.as_deref(), request) {
        return kept_out.answer();
    }
    if let Some(answer) = public {
        return answer;
    }
    let expected = match segments.as_slice() {
        ["nodes", _, "restart" | "drain" | "kill" | "cancel"]
        | ["frankenphp", "workers", "restart"] => Method::POST,
        _ => Method::GET,
    };
    if *request.method() != expected {
        let mut refused = answer::status(StatusCode::METHOD_NOT_ALLOWED);
        let allow = header::HeaderValue::from_str(expected.as_str());
        if let Ok(allow) = allow {
            refused.headers_mut().insert(header::ALLOW, allow);
        }
        return refused;
    }
    match segments.as_slice() {
        ["tree"] => nodes::tree(admin, request.query_string()),
        ["tree", "events"] => events::stream(&admin.tree),
        ["nodes", id] => nodes::one(admin, id),
        ["nodes", id, "backtrace"] => nodes::backtrace(admin, id).await,
        ["nodes", id, action] => nodes::steer(admin, id, action).await,
        ["frankenphp", "workers", "restart"] => frankenphp::restart(admin).await,
        ["frankenphp", "threads"] => frankenphp::threads(admin),
        _ => answer::status(StatusCode::NOT_FOUND),
    }
}

fn json(value: &impl serde::Serialize) -> HttpResponse<BoxBody> {
    match serde_json::to_vec(value) {
        Ok(json) => HttpResponse::Ok()
            .content_type("application/json")
            .body(json),
        Err(error) => {
            tracing::error!("the admin endpoint can't write JSON: {error}");
            answer::status(StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}
