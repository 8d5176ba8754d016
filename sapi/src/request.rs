//! A request as a PHP thread needs it: where the script is, what `$_SERVER` says, and the two ports.
//!
//! `web` builds it on an I/O thread; the thread that takes it from the pool's queue owns it from then on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::background::Scope;
use crate::body::BodyReader;
use crate::response::ResponseWriter;
use crate::server_vars::{ServerVars, Text};

/// The request body.
pub enum RequestBody {
    /// There is none.
    Empty,
    /// It arrived with the head.
    Whole(Bytes),
    /// It is still on its way.
    Stream(BodyReader),
}

/// One HTTP request for a PHP script. Its texts are in the buffer of its variables.
pub struct Request {
    /// Unique in this process; in every log line of this request.
    pub id: u64,
    /// When the server had read its head.
    pub received: Instant,
    /// As the client sent it.
    pub method: Text,
    /// Path and query as the client sent them.
    pub uri: Text,
    /// What follows the first `?`, not decoded; empty without one.
    pub query: Text,
    /// The script's absolute path.
    pub script: Text,
    /// The `Content-Type` header.
    pub content_type: Option<Text>,
    /// The `Content-Length` header, or -1 when the body is chunked.
    pub content_length: i64,
    /// The `Cookie` header; several are joined with `"; "`.
    pub cookie: Option<Text>,
    /// The `Authorization` header, for `PHP_AUTH_USER` and its like.
    pub authorization: Option<Text>,
    /// 1000 for HTTP/1.0, 1001 for HTTP/1.1, 2000 for HTTP/2.
    pub protocol: u32,
    /// What `$_SERVER` holds.
    pub vars: ServerVars,
    /// The background workers its script may use; a worker script uses its own instead.
    pub scope: Option<Arc<dyn Scope>>,
    /// The body.
    pub body: RequestBody,
    /// Where the answer goes.
    pub response: ResponseWriter,
    /// Wall-clock time the script may take before its thread is interrupted; `None` is unlimited.
    pub deadline: Option<Duration>,
    /// Longest wait for the next byte of the body.
    pub body_idle_timeout: Option<Duration>,
    /// Longest wait for a client that does not read.
    pub write_idle_timeout: Option<Duration>,
}
