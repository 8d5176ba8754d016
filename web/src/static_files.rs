//! Sends a file: validators, ranges, pre-compressed siblings, and a body that reads without blocking.
//!
//! The file arrives open (see [`crate::route`]) and is sent from that descriptor, so what is sent is
//! what was checked. Pages that the kernel has in memory are read where they are needed; only a read
//! that would wait for the disk goes to a thread for blocking work.
//!
//! `FileBody` and the negotiation are our own because actix-files opens by path, knows neither
//! `If-Range` nor pre-compressed files, and hands every single read to another thread.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};

use actix_http::Request;
use actix_web::body::{BodySize, MessageBody};
use actix_web::http::header::{
    self, ByteRangeSpec, ContentRangeSpec, EntityTag, HeaderValue, HttpDate, IfMatch,
    IfModifiedSince, IfNoneMatch, IfRange, IfUnmodifiedSince, Range,
};
use actix_web::http::{Method, StatusCode};
use actix_web::rt::task::{JoinHandle, spawn_blocking};
use actix_web::{HttpMessage as _, HttpResponse};
use bytes::Bytes;
use rustix::fs::Stat;
use rustix::io::{Errno, ReadWriteFlags};

use crate::config::Encoding;
use crate::encoding::acceptable;
use crate::route::{Entry, OpenFile, StaticFile};

/// Bytes read at once.
const CHUNK: usize = 64 * 1024;

/// Answers a request for a file; `offered` are the encodings that may stand pre-compressed beside it.
pub fn respond(request: &Request, file: StaticFile<'_>, offered: &[Encoding]) -> HttpResponse {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return HttpResponse::MethodNotAllowed()
            .insert_header((header::ALLOW, "GET, HEAD"))
            .finish();
    }
    let mime = mime_guess::from_path(Path::new(OsStr::from_bytes(&file.path)));
    let mime = mime.first_or_octet_stream();
    let is_compressible = crate::compress::is_compressible(mime.essence_str());
    let wants_range = request.headers().contains_key(header::RANGE);

    // A part of a file is a part of the file itself: what resumes a download must not depend on
    // which encodings the client listed this time.
    let compressed = match is_compressible && !wants_range {
        true => precompressed(request, &file, offered),
        false => None,
    };
    let encoding = compressed.as_ref().map(|(encoding, _)| *encoding);
    let OpenFile { file, stat, .. } = match compressed {
        Some((_, open)) => open,
        None => file.open,
    };

    let validators = Validators::new(&stat);
    let length = u64::try_from(stat.st_size).unwrap_or_default();
    let mut response = HttpResponse::Ok();
    response.insert_header((header::ETAG, validators.tag.clone()));
    response.insert_header((header::LAST_MODIFIED, HttpDate::from(validators.modified)));
    if is_compressible {
        response.insert_header((header::VARY, HeaderValue::from_static("accept-encoding")));
    }
    if let Some(status) = validators.precondition(request) {
        return response.status(status).finish();
    }

    response.insert_header((header::ACCEPT_RANGES, HeaderValue::from_static("bytes")));
    let mut part = (0, length);
    if wants_range && validators.range_holds(request) {
        let content_range = |range| ContentRangeSpec::Bytes {
            range,
            instance_length: Some(length),
        };
        match single_range(request, length) {
            Some(Ok((first, last))) => {
                response.status(StatusCode::PARTIAL_CONTENT);
                let range = content_range(Some((first, last)));
                response.insert_header((header::CONTENT_RANGE, range));
                part = (first, last - first + 1);
            }
            Some(Err(Unsatisfiable)) => {
                response.status(StatusCode::RANGE_NOT_SATISFIABLE);
                response.insert_header((header::CONTENT_RANGE, content_range(None)));
                return response.finish();
            }
            None => {}
        }
    }
    if let Some(encoding) = encoding {
        response.insert_header((header::CONTENT_ENCODING, encoding.name()));
    }
    let content_type = match mime.type_() {
        mime_guess::mime::TEXT => format!("{mime}; charset=utf-8"),
        _ => mime.to_string(),
    };
    response.insert_header((header::CONTENT_TYPE, content_type));
    let (offset, length) = part;
    match *request.method() {
        Method::HEAD => response.body(NoBody { length }),
        _ => response.body(FileBody::new(file, offset, length)),
    }
}

/// The client's favourite among the compressed siblings that are not older than the file.
fn precompressed(
    request: &Request,
    file: &StaticFile<'_>,
    offered: &[Encoding],
) -> Option<(Encoding, OpenFile)> {
    for encoding in acceptable(request.headers(), offered) {
        let path = [&file.path, encoding.suffix().as_bytes()].concat();
        if let Ok(Entry::File(open)) = file.root.open(&path)
            && modified(&open.stat) >= modified(&file.open.stat)
        {
            return Some((encoding, open));
        }
    }
    None
}

fn modified(stat: &Stat) -> SystemTime {
    let seconds = u64::try_from(stat.st_mtime).unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

/// What tells one state of a file from another.
struct Validators {
    tag: EntityTag,
    modified: SystemTime,
}

impl Validators {
    fn new(stat: &Stat) -> Self {
        // The inode tells apart two files renamed into place within the clock's grain.
        let tag = format!(
            "{:x}-{:x}-{:x}.{:x}",
            stat.st_ino, stat.st_size, stat.st_mtime, stat.st_mtime_nsec
        );
        Self {
            tag: EntityTag::new_strong(tag),
            modified: modified(stat),
        }
    }

    /// 412 or 304 when the request's conditions say so, in the order of RFC 9110, section 13.2.2.
    fn precondition(&self, request: &Request) -> Option<StatusCode> {
        let headers = request.headers();
        if headers.contains_key(header::IF_MATCH) {
            let holds = match request.get_header::<IfMatch>() {
                Some(IfMatch::Any) => true,
                Some(IfMatch::Items(tags)) => tags.iter().any(|tag| tag.strong_eq(&self.tag)),
                None => false,
            };
            if !holds {
                return Some(StatusCode::PRECONDITION_FAILED);
            }
        } else if let Some(IfUnmodifiedSince(date)) = request.get_header()
            && self.modified > SystemTime::from(date)
        {
            return Some(StatusCode::PRECONDITION_FAILED);
        }
        if headers.contains_key(header::IF_NONE_MATCH) {
            let known = match request.get_header::<IfNoneMatch>() {
                Some(IfNoneMatch::Any) => true,
                Some(IfNoneMatch::Items(tags)) => tags.iter().any(|tag| tag.weak_eq(&self.tag)),
                None => false,
            };
            return known.then_some(StatusCode::NOT_MODIFIED);
        }
        match request.get_header::<IfModifiedSince>() {
            Some(IfModifiedSince(date)) if self.modified <= SystemTime::from(date) => {
                Some(StatusCode::NOT_MODIFIED)
            }
            _ => None,
        }
    }

    /// Whether the range was meant for this state of the file (`If-Range`).
    fn range_holds(&self, request: &Request) -> bool {
        if !request.headers().contains_key(header::IF_RANGE) {
            return true;
        }
        match request.get_header::<IfRange>() {
            Some(IfRange::EntityTag(tag)) => tag.strong_eq(&self.tag),
            Some(IfRange::Date(date)) => SystemTime::from(date) == self.modified,
            None => false,
        }
    }
}

struct Unsatisfiable;

/// The first and last byte of the range asked for. `None` sends the whole file: for a range that is
/// malformed, and for several, which hardly anyone needs and which cost the server more than the client.
fn single_range(request: &Request, length: u64) -> Option<Result<(u64, u64), Unsatisfiable>> {
    let Some(Range::Bytes(ranges)) = request.get_header() else {
        return None;
    };
    let [range] = ranges.as_slice() else {
        return None;
    };
    if let ByteRangeSpec::FromTo(from, to) = range
        && from > to
    {
        return None;
    }
    Some(range.to_satisfiable_range(length).ok_or(Unsatisfiable))
}

/// A part of a file as a response body.
pub struct FileBody {
    file: Arc<File>,
    offset: u64,
    left: u64,
    /// A read that waits for the disk.
    pending: Option<JoinHandle<io::Result<Vec<u8>>>>,
}

impl FileBody {
    fn new(file: File, offset: u64, left: u64) -> Self {
        Self {
            file: Arc::new(file),
            offset,
            left,
            pending: None,
        }
    }

    fn wanted(&self) -> usize {
        usize::try_from(self.left).map_or(CHUNK, |left| left.min(CHUNK))
    }

    /// Reads what the kernel has in memory; `None` when that is nothing.
    fn read_cached(&self) -> io::Result<Option<Vec<u8>>> {
        let mut chunk = vec![0; self.wanted()];
        let slices = &mut [IoSliceMut::new(&mut chunk)];
        match rustix::io::preadv2(&self.file, slices, self.offset, ReadWriteFlags::NOWAIT) {
            Ok(count) => {
                chunk.truncate(count);
                Ok(Some(chunk))
            }
            Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INTR) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    fn read_from_disk(&self) -> JoinHandle<io::Result<Vec<u8>>> {
        let file = self.file.clone();
        let offset = self.offset;
        let mut chunk = vec![0; self.wanted()];
        spawn_blocking(move || {
            let count = file.read_at(&mut chunk, offset)?;
            chunk.truncate(count);
            Ok(chunk)
        })
    }
}

impl MessageBody for FileBody {
    type Error = io::Error;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.left)
    }

    fn poll_next(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, io::Error>>> {
        let body = self.get_mut();
        if body.left == 0 {
            return Poll::Ready(None);
        }
        let chunk = match &mut body.pending {
            Some(read) => {
                let chunk = ready!(Pin::new(read).poll(cx)).map_err(io::Error::other)?;
                body.pending = None;
                chunk?
            }
            None => match body.read_cached()? {
                Some(chunk) => chunk,
                None => {
                    body.pending = Some(body.read_from_disk());
                    return Pin::new(body).poll_next(cx);
                }
            },
        };
        if chunk.is_empty() {
            // The length was promised: only a broken connection can tell the client.
            let error = io::Error::new(io::ErrorKind::UnexpectedEof, "the file became shorter");
            return Poll::Ready(Some(Err(error)));
        }
        body.offset += chunk.len() as u64;
        body.left -= chunk.len() as u64;
        Poll::Ready(Some(Ok(Bytes::from(chunk))))
    }
}

/// The answer to HEAD: a length without its bytes.
pub struct NoBody {
    pub length: u64,
}

impl MessageBody for NoBody {
    type Error = std::convert::Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.length)
    }

    fn poll_next(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Poll::Ready(None)
    }
}

#[cfg(test)]
mod tests;
