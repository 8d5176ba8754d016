//! The access log: one record a request, when its response has ended.
//!
//! The record is made where the response body is dropped, whatever ends it: the last byte, a client that
//! left, an error. Then the request is no longer in flight for its connection either.

use std::fmt::Display;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use actix_web::HttpResponse;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::RequestHead;
use actix_web::http::{Method, StatusCode, Uri, Version, header};
use bytes::Bytes;

use crate::logging::ACCESS;
use crate::php;
use crate::server::InFlight;

/// What is known of a request before it is answered.
pub struct Record {
    id: u64,
    received: Instant,
    method: Method,
    uri: Uri,
    version: Version,
    host: String,
    client: String,
    agent: String,
}

impl Record {
    pub fn new(id: u64, received: Instant, request: &RequestHead, client: String) -> Self {
        let text = |name| {
            let value = request.headers.get(name);
            value.map_or(String::new(), |value: &header::HeaderValue| {
                String::from_utf8_lossy(value.as_bytes()).into_owned()
            })
        };
        Self {
            id,
            received,
            method: request.method.clone(),
            uri: request.uri.clone(),
            version: request.version,
            host: match request.uri.authority() {
                Some(authority) => authority.to_string(),
                None => text(header::HOST),
            },
            client,
            agent: text(header::USER_AGENT),
        }
    }

    fn write(&self, status: StatusCode, bytes: u64, is_complete: bool) {
        let ms = self.received.elapsed().as_secs_f64() * 1e3;
        tracing::info!(
            target: ACCESS,
            request = self.id,
            client = self.client,
            method = self.method.as_str(),
            uri = self.uri.path_and_query().map_or("", |uri| uri.as_str()),
            version = ?self.version,
            host = self.host,
            status = status.as_u16(),
            bytes,
            ms = (ms * 1e3).round() / 1e3,
            complete = is_complete,
            agent = self.agent,
        );
    }
}

/// A client as it is named in records.
fn client(address: Option<SocketAddr>) -> String {
    match address {
        Some(address) => address.ip().to_canonical().to_string(),
        None => "unix:".to_owned(),
    }
}

/// Writes the record of a request that was refused before the application saw it.
pub fn refused(request: &RequestHead, status: StatusCode) {
    let client = client(request.peer_addr);
    Record::new(php::next_id(), Instant::now(), request, client).write(status, 0, true);
}

/// Writes the record of what a client sent instead of a request.
pub fn malformed(address: Option<SocketAddr>, status: StatusCode, error: &dyn Display) {
    tracing::info!(
        target: ACCESS,
        client = client(address),
        status = status.as_u16(),
        bytes = 0,
        complete = true,
        "no request: {error}"
    );
}

/// Keeps the request in flight until its response has ended, and then writes the record.
pub fn follow(
    response: HttpResponse<BoxBody>,
    in_flight: InFlight,
    record: Option<Record>,
) -> HttpResponse<BoxBody> {
    let status = response.status();
    response.map_body(|_, body| {
        let is_complete = body.size().is_eof();
        BoxBody::new(Followed {
            body,
            bytes: 0,
            is_complete,
            status,
            record,
            _in_flight: in_flight,
        })
    })
}

struct Followed {
    body: BoxBody,
    bytes: u64,
    is_complete: bool,
    status: StatusCode,
    record: Option<Record>,
    _in_flight: InFlight,
}

impl MessageBody for Followed {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let this = self.get_mut();
        let chunk = ready!(Pin::new(&mut this.body).poll_next(cx));
        match &chunk {
            Some(Ok(chunk)) => this.bytes += chunk.len() as u64,
            Some(Err(_)) => {}
            None => this.is_complete = true,
        }
        Poll::Ready(chunk)
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        if let Some(record) = &self.record {
            record.write(self.status, self.bytes, self.is_complete);
        }
    }
}
