//! Compresses responses on their way out: zstd, brotli or gzip, as the client likes.
//!
//! What has arrived is never held back for a better ratio: as soon as the response has no more to give
//! for the moment, the encoder is flushed. Event streams and pages that a script flushes piece by piece
//! therefore reach the client as they would without compression. (actix's own middleware never flushes.)
//!
//! Left alone: what is encoded already, parts of files, types that don't shrink, small bodies, and
//! whatever says `no-transform`.

use std::io::{self, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use actix_web::HttpResponse;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use bytes::Bytes;

use crate::config::Encoding;
use crate::encoding::acceptable;

/// Below this a body fits the packet that is sent anyway.
const SMALLEST: u64 = 1024;

/// Whether bodies of this type shrink; `essence` is the type without its parameters.
pub fn is_compressible(essence: &str) -> bool {
    let essence = essence.trim().to_ascii_lowercase();
    if essence.starts_with("text/") || essence.ends_with("+json") || essence.ends_with("+xml") {
        return true;
    }
    matches!(
        essence.as_str(),
        "application/json"
            | "application/javascript"
            | "application/x-javascript"
            | "application/ecmascript"
            | "application/xml"
            | "application/x-ndjson"
            | "application/wasm"
            | "application/vnd.ms-fontobject"
            | "font/ttf"
            | "font/otf"
            | "font/collection"
            | "image/bmp"
            | "image/x-icon"
            | "image/vnd.microsoft.icon"
    )
}

/// Compresses `response` when it is worth it and the client of `request` accepts one of `offered`.
pub fn apply(
    request: &HeaderMap,
    mut response: HttpResponse<BoxBody>,
    offered: &[Encoding],
) -> HttpResponse<BoxBody> {
    if offered.is_empty() || !is_worth_it(&response) {
        return response;
    }
    vary_by_encoding(response.headers_mut());
    let Some(&encoding) = acceptable(request, offered).first() else {
        return response;
    };
    let Ok(encoder) = Encoder::new(encoding) else {
        // Out of memory for its tables: the response is still good as it is.
        return response;
    };
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_LENGTH);
    headers.remove(header::ACCEPT_RANGES);
    let name = HeaderValue::from_static(encoding.name());
    headers.insert(header::CONTENT_ENCODING, name);
    weaken_tag(headers);
    response.map_body(|_, body| {
        let compressed = CompressedBody {
            body,
            encoder: Some(encoder),
            is_dirty: false,
        };
        BoxBody::new(compressed)
    })
}

fn is_worth_it(response: &HttpResponse<BoxBody>) -> bool {
    let has_body = match response.body().size() {
        BodySize::None => false,
        BodySize::Sized(size) => size >= SMALLEST,
        BodySize::Stream => true,
    };
    if !has_body {
        return false;
    }
    let headers = response.headers();
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let essence = text(header::CONTENT_TYPE).and_then(|value| value.split(';').next());
    let cache_control = text(header::CACHE_CONTROL).unwrap_or_default();
    response.status() != StatusCode::PARTIAL_CONTENT
        && !headers.contains_key(header::CONTENT_ENCODING)
        && !headers.contains_key(header::CONTENT_RANGE)
        && !cache_control.to_ascii_lowercase().contains("no-transform")
        && essence.is_some_and(is_compressible)
}

fn vary_by_encoding(headers: &mut HeaderMap) {
    let is_said = headers
        .get_all(header::VARY)
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|name| {
            matches!(name.trim(), "*") || name.trim().eq_ignore_ascii_case("accept-encoding")
        });
    if !is_said {
        let name = HeaderValue::from_static("accept-encoding");
        headers.append(header::VARY, name);
    }
}

/// Two encodings of one thing are not byte for byte the same, which is what a strong tag promises.
fn weaken_tag(headers: &mut HeaderMap) {
    let Some(tag) = headers.get(header::ETAG) else {
        return;
    };
    if tag.as_bytes().starts_with(b"\"")
        && let Ok(weak) = HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat())
    {
        headers.insert(header::ETAG, weak);
    }
}

/// The levels trade little size for much time: bodies are compressed on the I/O thread, while others
/// wait. Windows are kept small since every open response has one.
enum Encoder {
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
    Brotli(Box<brotli::CompressorWriter<Vec<u8>>>),
    Gzip(flate2::write::GzEncoder<Vec<u8>>),
}

const ZSTD_LEVEL: i32 = 3;
const ZSTD_WINDOW_LOG: u32 = 19;
const BROTLI_QUALITY: u32 = 4;
const BROTLI_WINDOW_LOG: u32 = 18;
const GZIP_LEVEL: u32 = 5;

impl Encoder {
    fn new(encoding: Encoding) -> io::Result<Self> {
        Ok(match encoding {
            Encoding::Zstd => {
                let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), ZSTD_LEVEL)?;
                encoder.window_log(ZSTD_WINDOW_LOG)?;
                Self::Zstd(encoder)
            }
            Encoding::Brotli => Self::Brotli(Box::new(brotli::CompressorWriter::new(
                Vec::new(),
                16 * 1024,
                BROTLI_QUALITY,
                BROTLI_WINDOW_LOG,
            ))),
            Encoding::Gzip => {
                let level = flate2::Compression::new(GZIP_LEVEL);
                Self::Gzip(flate2::write::GzEncoder::new(Vec::new(), level))
            }
        })
    }

    fn write(&mut self, chunk: &[u8]) -> io::Result<()> {
        match self {
            Self::Zstd(encoder) => encoder.write_all(chunk),
            Self::Brotli(encoder) => encoder.write_all(chunk),
            Self::Gzip(encoder) => encoder.write_all(chunk),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Zstd(encoder) => encoder.flush(),
            Self::Brotli(encoder) => encoder.flush(),
            Self::Gzip(encoder) => encoder.flush(),
        }
    }

    /// What is ready to be sent.
    fn take(&mut self) -> Bytes {
        let output = match self {
            Self::Zstd(encoder) => encoder.get_mut(),
            Self::Brotli(encoder) => encoder.get_mut(),
            Self::Gzip(encoder) => encoder.get_mut(),
        };
        std::mem::take(output).into()
    }

    fn finish(self) -> io::Result<Bytes> {
        match self {
            Self::Zstd(encoder) => encoder.finish(),
            Self::Brotli(encoder) => Ok(encoder.into_inner()),
            Self::Gzip(encoder) => encoder.finish(),
        }
        .map(Bytes::from)
    }
}

struct CompressedBody {
    body: BoxBody,
    /// Gone once the body is complete.
    encoder: Option<Encoder>,
    /// The encoder holds back what the client could have.
    is_dirty: bool,
}

impl MessageBody for CompressedBody {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let this = self.get_mut();
        loop {
            let Some(encoder) = &mut this.encoder else {
                return Poll::Ready(None);
            };
            let chunk = match Pin::new(&mut this.body).poll_next(cx) {
                Poll::Pending if this.is_dirty => {
                    encoder.flush()?;
                    this.is_dirty = false;
                    let flushed = encoder.take();
                    // The waker is registered: after an empty flush there is nothing to do but wait.
                    return match flushed.is_empty() {
                        true => Poll::Pending,
                        false => Poll::Ready(Some(Ok(flushed))),
                    };
                }
                polled => ready!(polled),
            };
            let ready = match chunk {
                Some(chunk) => {
                    let chunk = chunk?;
                    encoder.write(&chunk)?;
                    this.is_dirty |= !chunk.is_empty();
                    encoder.take()
                }
                None => match this.encoder.take() {
                    Some(encoder) => encoder.finish()?,
                    None => return Poll::Ready(None),
                },
            };
            // An empty chunk would end a chunked body.
            if !ready.is_empty() {
                return Poll::Ready(Some(Ok(ready)));
            }
        }
    }
}

#[cfg(test)]
mod tests;
