//! The access log: one record a request, when its response has ended.
//!
//! The record is made where the response body is dropped, whatever ends it: the last byte, a client that
//! left, an error; and where what makes up the response is dropped, when the client has not waited for it. Then the
//! request is no longer in flight for its connection either.

use std::borrow::Cow;
use std::fmt::Display;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use actix_http::{Request, RequestHead};
use actix_web::HttpResponse;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::http::header::{self, HeaderName};
use actix_web::http::{Method, StatusCode, Version};
use bytes::Bytes;

use crate::answer;
use crate::logging::{ACCESS, Access, Line};
use crate::php;
use crate::server::InFlight;

/// All that a record holds.
struct Answered<'a> {
    id: u64,
    request: &'a RequestHead,
    client: &'a str,
    status: StatusCode,
    bytes: u64,
    took: Duration,
    is_complete: bool,
}

impl Answered<'_> {
    fn trace(&self) {
        tracing::info!(
            target: ACCESS,
            request = self.id,
            client = self.client,
            method = self.request.method.as_str(),
            uri = self.uri(),
            version = self.version(),
            host = &*self.host(),
            status = self.status.as_u16(),
            bytes = self.bytes,
            ms = self.micros() as f64 / 1e3,
            complete = self.is_complete,
            agent = &*self.header(&header::USER_AGENT),
        );
    }

    /// The same without a detour: every request has a record.
    fn write(&self, line: &mut Line) {
        line.number("request", self.id);
        line.text("client", self.client);
        line.text("method", self.request.method.as_str());
        line.text("uri", self.uri());
        line.text("version", self.version());
        line.text("host", &self.host());
        line.number("status", self.status.as_u16().into());
        line.number("bytes", self.bytes);
        line.thousandths("ms", self.micros());
        line.flag("complete", self.is_complete);
        line.text("agent", &self.header(&header::USER_AGENT));
    }

    fn uri(&self) -> &str {
        let uri = self.request.uri.path_and_query();
        uri.map_or("", |uri| uri.as_str())
    }

    fn version(&self) -> &'static str {
        match self.request.version {
            Version::HTTP_10 => "HTTP/1.0",
            Version::HTTP_2 => "HTTP/2.0",
            _ => "HTTP/1.1",
        }
    }

    fn host(&self) -> Cow<'_, str> {
        match self.request.uri.authority() {
            Some(authority) => authority.as_str().into(),
            None => self.header(&header::HOST),
        }
    }

    fn header(&self, name: &HeaderName) -> Cow<'_, str> {
        let value = self.request.headers.get(name);
        value.map_or("".into(), |value| String::from_utf8_lossy(value.as_bytes()))
    }

    fn micros(&self) -> u64 {
        u64::try_from(self.took.as_micros()).unwrap_or(u64::MAX)
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
    let answered = Answered {
        id: php::next_id(),
        request,
        client: &client(request.peer_addr),
        status,
        bytes: 0,
        took: Duration::ZERO,
        is_complete: true,
    };
    answered.trace();
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

/// A request on its way, in flight for its connection; its end writes the record.
pub struct Followed {
    in_flight: InFlight,
    access: Option<Access>,
    id: u64,
    received: Instant,
    request: Request,
    /// There is none while it is not answered.
    status: Option<StatusCode>,
    bytes: u64,
    is_complete: bool,
}

impl Followed {
    pub fn new(
        in_flight: InFlight,
        access: Option<Access>,
        id: u64,
        received: Instant,
        request: Request,
    ) -> Self {
        Self {
            in_flight,
            access,
            id,
            received,
            request,
            status: None,
            bytes: 0,
            is_complete: false,
        }
    }

    pub fn request(&self) -> &Request {
        &self.request
    }

    /// The request is answered; it is followed to the end of the response.
    pub fn answered(mut self, response: HttpResponse<BoxBody>) -> HttpResponse<BoxBody> {
        self.status = Some(response.status());
        let is_head = self.request.method() == Method::HEAD;
        response.map_body(|_, body| {
            // On HTTP/2 actix-http drops the body of an answer to HEAD without a look.
            self.is_complete = is_head || body.size().is_eof();
            BoxBody::new(FollowedBody {
                body,
                request: self,
            })
        })
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        let Some(access) = &self.access else {
            return;
        };
        let answered = Answered {
            id: self.id,
            request: self.request.head(),
            client: self.in_flight.facts().client(),
            status: self.status.unwrap_or_else(answer::client_left),
            bytes: self.bytes,
            took: self.received.elapsed(),
            is_complete: self.is_complete,
        };
        match access {
            Access::Json(log) => log.write(ACCESS, |line| answered.write(line)),
            Access::Traced => answered.trace(),
        }
    }
}

struct FollowedBody {
    body: BoxBody,
    request: Followed,
}

impl MessageBody for FollowedBody {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let this = self.get_mut();
        this.request.in_flight.take();
        let chunk = ready!(Pin::new(&mut this.body).poll_next(cx));
        if chunk.is_some() {
            this.request.in_flight.give();
        }
        match &chunk {
            Some(Ok(chunk)) if !this.request.is_complete => {
                this.request.bytes += chunk.len() as u64;
            }
            // An answer to HEAD is complete from the beginning.
            Some(_) => {}
            None => this.request.is_complete = true,
        }
        Poll::Ready(chunk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logging::json_for_tests;
    use actix_web::test::TestRequest;
    use serde_json::Value;

    #[test]
    fn a_record_is_the_same_whichever_way_it_takes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let (log, traced) = json_for_tests(&path);
        let traced = tracing::Dispatch::new(traced);
        for request in [
            TestRequest::with_uri("/a?b=%22c")
                .insert_header(("host", "a.org:81"))
                .insert_header(("user-agent", "a \"b\" \\ \t c")),
            TestRequest::with_uri("http://b.org/").version(Version::HTTP_2),
        ] {
            let request = request.to_request();
            let answered = Answered {
                id: 7,
                request: request.head(),
                client: "::1",
                status: StatusCode::NOT_FOUND,
                bytes: 12,
                took: Duration::from_micros(1_020),
                is_complete: false,
            };
            log.write(ACCESS, |line| answered.write(line));
            tracing::dispatcher::with_default(&traced, || answered.trace());
        }
        log.flush();
        let text = std::fs::read_to_string(&path).unwrap();
        let records: Vec<Value> = text
            .lines()
            .map(|line| {
                let mut record: Value = serde_json::from_str(line).unwrap();
                record["timestamp"].take();
                record
            })
            .collect();
        assert_eq!(records.len(), 4);
        assert_eq!(records[0], records[1]);
        assert_eq!(records[2], records[3]);
        assert_eq!(records[0]["agent"], "a \"b\" \\ \t c");
        assert_eq!(records[2]["host"], "b.org");
    }
}
