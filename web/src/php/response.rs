//! A script's response on its way to the client.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use actix_web::HttpResponse;
use actix_web::body::{BodySize, BoxBody, MessageBody, None as NoBodyAtAll};
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{ConnectionType, Method, StatusCode};
use bytes::Bytes;
use troupe_sapi::{Head, Outcome, Part};

use super::body::BodyProblem;
use super::exchange::{Exchange, Step};
use crate::static_files::NoBody;

/// Headers of one connection, which are the server's to set, and not the script's.
static HOP_BY_HOP: [HeaderName; 5] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    header::TRANSFER_ENCODING,
    header::TRAILER,
    header::UPGRADE,
];

/// The header by which CGI scripts say their status.
const STATUS: &[u8] = b"status";

/// Makes the response of its head and, unless it is `complete`, of the parts that follow in `exchange`.
pub fn build(
    method: &Method,
    head: Head,
    first: Bytes,
    complete: bool,
    exchange: Exchange,
) -> HttpResponse<BoxBody> {
    let status = status(&head);
    let mut response = HttpResponse::new(status);
    let mut announced = None;
    for (name, value) in head.headers() {
        announced = set_header(&mut response, name, value).or(announced);
    }
    if matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        return response.set_body(BoxBody::new(NoBodyAtAll::new()));
    }
    if *method == Method::HEAD {
        // PHP throws the body away, so only the script can know how long it would have been.
        return match announced {
            Some(length) => response.set_body(BoxBody::new(NoBody { length })),
            None => response.set_body(BoxBody::new(NoBodyAtAll::new())),
        };
    }
    if complete {
        // Counted, not announced: a script may be wrong, and what it says would break the connection.
        return response.set_body(BoxBody::new(first));
    }
    let size = announced.map_or(BodySize::Stream, BodySize::Sized);
    response.set_body(BoxBody::new(ScriptBody {
        first,
        exchange,
        size,
        left: announced,
        is_cut: false,
    }))
}

/// CGI lets a script say its status in a header (`Status: 404 Not Found`), which goes no further. With a 1xx a
/// script has not said how its response ends; sent as it is, the client would take the next response for it.
fn status(head: &Head) -> StatusCode {
    let said = head
        .headers()
        .find(|(name, _)| name.eq_ignore_ascii_case(STATUS));
    let said = said.and_then(|(_, value)| StatusCode::from_bytes(value.get(..3)?).ok());
    let said = said.or_else(|| StatusCode::from_u16(head.status).ok());
    match said {
        Some(status) if status.is_informational() => StatusCode::OK,
        Some(status) => status,
        None => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Sets one header of the script's; returns the length when it announces one.
fn set_header(response: &mut HttpResponse, name: &[u8], value: &[u8]) -> Option<u64> {
    if name.eq_ignore_ascii_case(STATUS) {
        return None;
    }
    let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
    else {
        let name = String::from_utf8_lossy(name);
        tracing::warn!(%name, "a script's header was left out: it has bytes no header may have");
        return None;
    };
    if name == header::CONTENT_LENGTH {
        return value.to_str().ok()?.trim().parse().ok();
    }
    if name == header::CONNECTION && value.as_bytes().eq_ignore_ascii_case(b"close") {
        let head = response.head_mut();
        head.set_connection_type(ConnectionType::Close);
    }
    if !HOP_BY_HOP.contains(&name) {
        response.headers_mut().append(name, value);
    }
    None
}

/// A 1xx answer in the form of HTTP/1.1.
pub fn informational(head: &Head) -> Option<Vec<u8>> {
    let status = StatusCode::from_u16(head.status).ok()?;
    // 101 changes the protocol, which is not a script's to do.
    if !status.is_informational() || status == StatusCode::SWITCHING_PROTOCOLS {
        return None;
    }
    let reason = match head.status {
        103 => "Early Hints",
        _ => status.canonical_reason().unwrap_or("Informational"),
    };
    let mut bytes = format!("HTTP/1.1 {} {reason}\r\n", status.as_u16()).into_bytes();
    let mut headers = HeaderMap::new();
    for (name, value) in head.headers() {
        let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
        else {
            continue;
        };
        if name != header::CONTENT_LENGTH && !HOP_BY_HOP.contains(&name) {
            headers.append(name, value);
        }
    }
    for (name, value) in &headers {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    Some(bytes)
}

/// A response body as the script writes it. Its drop tells the script that the client left.
struct ScriptBody {
    first: Bytes,
    /// The script may still read while it writes.
    exchange: Exchange,
    size: BodySize,
    /// Of the length that the script has announced.
    left: Option<u64>,
    /// It ended too early.
    is_cut: bool,
}

impl ScriptBody {
    /// What is sent of a piece: nothing beyond what was announced.
    fn piece(&mut self, mut bytes: Bytes) -> Option<Bytes> {
        if let Some(left) = &mut self.left {
            bytes.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
            *left -= bytes.len() as u64;
        }
        // An empty chunk would end a chunked body.
        (!bytes.is_empty()).then_some(bytes)
    }

    /// Ends the response as one that is not complete, when what there is of it has been sent: actix-http drops
    /// what waits behind an error.
    fn cut<T>(&mut self, cx: &Context<'_>) -> Poll<T> {
        self.is_cut = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// The script's thread let go of its response unfinished, or the script sent less than it had announced, which only
/// a broken connection can tell; or nobody is there to be told.
#[derive(Debug, thiserror::Error)]
#[error("the script ended before its response was complete")]
struct Unfinished;

impl MessageBody for ScriptBody {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        self.size
    }

    fn poll_next(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let this = self.get_mut();
        let first = std::mem::take(&mut this.first);
        if let Some(bytes) = this.piece(first) {
            return Poll::Ready(Some(Ok(bytes)));
        }
        loop {
            if this.is_cut {
                return Poll::Ready(Some(Err(Box::new(Unfinished))));
            }
            match ready!(this.exchange.poll(cx)) {
                Step::Part(Part::Body(bytes)) => {
                    if let Some(bytes) = this.piece(bytes) {
                        return Poll::Ready(Some(Ok(bytes)));
                    }
                }
                // The head has gone out: nothing of this kind can follow it.
                Step::Part(Part::Informational(_) | Part::Head { .. }) => {}
                Step::BadBody(BodyProblem::Left)
                | Step::End(Outcome::Aborted | Outcome::GivenUp)
                | Step::NoThread => return this.cut(cx),
                // The script learns it where it reads, and may still have something to say.
                Step::BadBody(_) => {}
                Step::End(Outcome::Complete) if this.left.is_some_and(|left| left > 0) => {
                    return this.cut(cx);
                }
                Step::End(Outcome::Complete) => return Poll::Ready(None),
            }
        }
    }
}
