//! The request-body port: bytes from the client's connection to the PHP thread that reads them.
//!
//! Bounded by bytes, so that an upload of any size passes through a fixed amount of memory: the writer waits
//! while [`CAPACITY`] bytes are unread. The writer's end says how the body ended by how it goes: by
//! [`BodyWriter::finish`], or by its drop, which means that the client left.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::{Buf, Bytes};

use crate::sync::{Mutex, lock, unlock_and_wake};

/// Bytes that may wait for the reader before the writer has to.
pub const CAPACITY: usize = 256 * 1024;

/// The body's other end is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// The client left before the body was complete.
    #[error("the client left before its request body was complete")]
    ClientLeft,
    /// The script ended or refused the rest of the body.
    #[error("the script no longer reads the request body")]
    NotRead,
}

enum Ending {
    Complete,
    ClientLeft,
}

struct Inner {
    chunks: VecDeque<Bytes>,
    buffered: usize,
    ending: Option<Ending>,
    reader_gone: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// Opens a body port.
pub fn body_port() -> (BodyWriter, BodyReader) {
    let inner = Arc::new(Mutex::new(Inner {
        chunks: VecDeque::new(),
        buffered: 0,
        ending: None,
        reader_gone: false,
        reader: None,
        writer: None,
    }));
    (
        BodyWriter {
            inner: inner.clone(),
        },
        BodyReader { inner },
    )
}

/// The connection's end.
pub struct BodyWriter {
    inner: Arc<Mutex<Inner>>,
}

impl BodyWriter {
    /// Ready when there is room for more.
    pub fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        let mut inner = lock(&self.inner);
        if inner.reader_gone {
            return Poll::Ready(Err(BodyError::NotRead));
        }
        if inner.buffered < CAPACITY {
            return Poll::Ready(Ok(()));
        }
        inner.writer = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Hands over a chunk. Call after [`poll_ready`](Self::poll_ready) said so.
    pub fn push(&mut self, chunk: Bytes) {
        let mut inner = lock(&self.inner);
        if chunk.is_empty() || inner.reader_gone {
            return;
        }
        inner.buffered += chunk.len();
        inner.chunks.push_back(chunk);
        let waker = inner.reader.take();
        unlock_and_wake(inner, waker);
    }

    /// The body is complete.
    pub fn finish(self) {
        self.end(Ending::Complete);
    }

    fn end(&self, ending: Ending) {
        let mut inner = lock(&self.inner);
        if inner.ending.is_none() {
            inner.ending = Some(ending);
            let waker = inner.reader.take();
            unlock_and_wake(inner, waker);
        }
    }
}

impl Drop for BodyWriter {
    fn drop(&mut self) {
        self.end(Ending::ClientLeft);
    }
}

/// The PHP thread's end.
pub struct BodyReader {
    inner: Arc<Mutex<Inner>>,
}

impl BodyReader {
    /// Copies what is there into `buffer`; 0 at the end of a complete body. `buffer` must not be empty.
    pub fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<Result<usize, BodyError>> {
        let mut inner = lock(&self.inner);
        let mut copied = 0;
        while copied < buffer.len() {
            let Some(chunk) = inner.chunks.front_mut() else {
                break;
            };
            let step = chunk.len().min(buffer.len() - copied);
            chunk.copy_to_slice(&mut buffer[copied..copied + step]);
            copied += step;
            if chunk.is_empty() {
                inner.chunks.pop_front();
            }
        }
        if copied > 0 {
            inner.buffered -= copied;
            if inner.buffered < CAPACITY {
                let waker = inner.writer.take();
                unlock_and_wake(inner, waker);
            }
            return Poll::Ready(Ok(copied));
        }
        match inner.ending {
            Some(Ending::Complete) => Poll::Ready(Ok(0)),
            Some(Ending::ClientLeft) => Poll::Ready(Err(BodyError::ClientLeft)),
            None => {
                inner.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for BodyReader {
    fn drop(&mut self) {
        let mut inner = lock(&self.inner);
        inner.reader_gone = true;
        inner.chunks.clear();
        inner.buffered = 0;
        let waker = inner.writer.take();
        unlock_and_wake(inner, waker);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn read(reader: &mut BodyReader, size: usize) -> Poll<Result<Vec<u8>, BodyError>> {
        let mut buffer = vec![0; size];
        let mut cx = Context::from_waker(Waker::noop());
        reader
            .poll_read(&mut cx, &mut buffer)
            .map_ok(|n| buffer[..n].to_vec())
    }

    #[test]
    fn chunks_are_read_in_order_across_their_borders() {
        let (mut writer, mut reader) = body_port();
        writer.push(Bytes::from_static(b"abc"));
        writer.push(Bytes::from_static(b"defg"));
        writer.finish();
        assert_eq!(read(&mut reader, 5), Poll::Ready(Ok(b"abcde".to_vec())));
        assert_eq!(read(&mut reader, 5), Poll::Ready(Ok(b"fg".to_vec())));
        assert_eq!(read(&mut reader, 5), Poll::Ready(Ok(vec![])));
    }

    #[test]
    fn a_dropped_writer_is_a_client_that_left_and_what_it_sent_is_still_read() {
        let (mut writer, mut reader) = body_port();
        writer.push(Bytes::from_static(b"half"));
        drop(writer);
        assert_eq!(read(&mut reader, 9), Poll::Ready(Ok(b"half".to_vec())));
        assert_eq!(
            read(&mut reader, 9),
            Poll::Ready(Err(BodyError::ClientLeft))
        );
    }

    #[test]
    fn the_writer_waits_while_the_port_is_full_and_learns_that_nobody_reads() {
        let (mut writer, mut reader) = body_port();
        let mut cx = Context::from_waker(Waker::noop());
        writer.push(Bytes::from(vec![1; CAPACITY]));
        assert!(writer.poll_ready(&mut cx).is_pending());
        assert!(read(&mut reader, 1).is_ready());
        assert_eq!(writer.poll_ready(&mut cx), Poll::Ready(Ok(())));
        drop(reader);
        assert_eq!(
            writer.poll_ready(&mut cx),
            Poll::Ready(Err(BodyError::NotRead))
        );
    }
}
