//! The response port: head and body parts from a PHP thread to the connection that asked.
//!
//! A small answer travels as one part: the head waits in the writer for the body that follows it. Larger ones
//! and flushed ones pass in parts, [`PARTS`] of which may wait for a slow client before the script has to. A part is
//! due at [`PART`] bytes; what the script prints in one piece is in one part, however long it is.
//!
//! Each end is a unique owner and goes exactly once. The writer leaves an [`Outcome`] behind; the reader's drop
//! means that the client left, or that nobody wanted to wait for a job that had not begun.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};

use crate::background::leash::Leash;
use crate::head::Head;
use crate::sync::{Mutex, lock, unlock_and_wake};

/// Bytes of body that the writer gathers before it sends them unasked.
pub const PART: usize = 64 * 1024;
/// Parts that may wait for the reader.
pub const PARTS: usize = 4;
/// Room for the first bytes of a body: a script that prints piece by piece does not make it grow each time.
const FIRST: usize = 1024;

/// What the connection gets, in order.
#[derive(Debug, PartialEq, Eq)]
pub enum Part {
    /// A 1xx answer that goes before the real one.
    Informational(Head),
    /// The head, with as much of the body as there was.
    Head {
        /// Status and headers.
        head: Head,
        /// The first bytes of the body, maybe none.
        body: Bytes,
        /// True when `body` is the whole body.
        complete: bool,
    },
    /// More of the body.
    Body(Bytes),
}

/// How a response ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Everything the script sent was handed over.
    Complete,
    /// The script's thread let go of it unfinished.
    Aborted,
    /// The script's thread did not come back and was given up.
    GivenUp,
}

/// The client left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the client left before its response was complete")]
pub struct ClientLeft;

/// Parts on their way. Most responses have only one, which needs no memory of its own.
#[derive(Default)]
struct Parts {
    /// Older than the rest.
    first: Option<Part>,
    rest: VecDeque<Part>,
}

impl Parts {
    fn push(&mut self, part: Part) {
        if self.first.is_none() && self.rest.is_empty() {
            self.first = Some(part);
        } else {
            self.rest.push_back(part);
        }
    }

    fn pop(&mut self) -> Option<Part> {
        self.first.take().or_else(|| self.rest.pop_front())
    }

    fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.rest.len()
    }
}

struct Inner {
    parts: Parts,
    begun: bool,
    outcome: Option<Outcome>,
    reader_gone: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
    leash: Option<Arc<Leash>>,
}

/// Opens a response port.
pub fn response_port() -> (ResponseWriter, ResponseReader) {
    let inner = Arc::new(Mutex::new(Inner {
        parts: Parts::default(),
        begun: false,
        outcome: None,
        reader_gone: false,
        reader: None,
        writer: None,
        leash: None,
    }));
    let writer = ResponseWriter {
        inner: inner.clone(),
        informational: Vec::new(),
        head: None,
        body: BytesMut::new(),
    };
    (writer, ResponseReader { inner })
}

/// The PHP thread's end.
pub struct ResponseWriter {
    inner: Arc<Mutex<Inner>>,
    informational: Vec<Head>,
    /// The head that has not been handed over yet.
    head: Option<Head>,
    /// Body bytes that have not been handed over yet.
    body: BytesMut,
}

impl ResponseWriter {
    /// Marks the job as begun. False when the client has left meanwhile: the job is to be dropped.
    pub fn begin(&mut self) -> bool {
        let mut inner = lock(&self.inner);
        inner.begun = true;
        !inner.reader_gone
    }

    /// The means to end this response from elsewhere, should the thread never come back to it.
    pub(crate) fn breaker(&self) -> ResponseBreaker {
        ResponseBreaker {
            inner: self.inner.clone(),
        }
    }

    /// Says whom to tell when the client leaves before the response has ended.
    pub(crate) fn tie(&self, leash: Arc<Leash>) {
        let mut inner = lock(&self.inner);
        if inner.reader_gone {
            drop(inner);
            leash.client_left();
        } else {
            inner.leash = Some(leash);
        }
    }

    /// True when nobody waits for this response any more.
    pub fn is_abandoned(&self) -> bool {
        lock(&self.inner).reader_gone
    }

    /// Sets the head; it travels with the first part of the body.
    pub fn set_head(&mut self, head: Head) {
        self.head = Some(head);
    }

    /// Whether the head is set and not handed over yet.
    pub(crate) fn has_head(&self) -> bool {
        self.head.is_some()
    }

    /// Queues a 1xx answer; it travels with the next flush.
    pub fn inform(&mut self, head: Head) {
        self.informational.push(head);
    }

    /// Appends to the body. False when [`poll_flush`](Self::poll_flush) is due before more is written.
    pub fn write(&mut self, bytes: &[u8]) -> bool {
        if self.body.capacity() == 0 {
            self.body.reserve(FIRST.max(bytes.len()));
        }
        self.body.extend_from_slice(bytes);
        self.body.len() < PART
    }

    /// Hands over what was gathered; waits while [`PARTS`] parts are unread.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ClientLeft>> {
        let mut inner = lock(&self.inner);
        if inner.reader_gone || inner.outcome.is_some() {
            self.body.clear();
            return Poll::Ready(Err(ClientLeft));
        }
        if self.informational.is_empty() && self.head.is_none() && self.body.is_empty() {
            return Poll::Ready(Ok(()));
        }
        if inner.parts.len() >= PARTS {
            inner.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        for head in self.informational.drain(..) {
            inner.parts.push(Part::Informational(head));
        }
        let body = self.body.split().freeze();
        match self.head.take() {
            Some(head) => inner.parts.push(Part::Head {
                head,
                body,
                complete: false,
            }),
            None if body.is_empty() => {}
            None => inner.parts.push(Part::Body(body)),
        }
        let waker = inner.reader.take();
        unlock_and_wake(inner, waker);
        Poll::Ready(Ok(()))
    }

    /// Ends the response. What was gathered goes out however full the port is: it is bounded by [`PART`].
    pub fn finish(mut self) {
        let body = std::mem::take(&mut self.body).freeze();
        let head = self.head.take();
        let mut inner = lock(&self.inner);
        if inner.outcome.is_some() {
            return;
        }
        for head in self.informational.drain(..) {
            inner.parts.push(Part::Informational(head));
        }
        match head {
            Some(head) => inner.parts.push(Part::Head {
                head,
                body,
                complete: true,
            }),
            None if body.is_empty() => {}
            None => inner.parts.push(Part::Body(body)),
        }
        inner.outcome = Some(Outcome::Complete);
        inner.leash = None;
        let waker = inner.reader.take();
        unlock_and_wake(inner, waker);
    }
}

impl Drop for ResponseWriter {
    fn drop(&mut self) {
        let mut inner = lock(&self.inner);
        if inner.outcome.is_none() {
            inner.outcome = Some(Outcome::Aborted);
            let waker = inner.reader.take();
            unlock_and_wake(inner, waker);
        }
    }
}

/// Ends a response whose thread was given up.
pub(crate) struct ResponseBreaker {
    inner: Arc<Mutex<Inner>>,
}

impl ResponseBreaker {
    pub(crate) fn give_up(self) {
        let mut inner = lock(&self.inner);
        if inner.outcome.is_none() {
            inner.outcome = Some(Outcome::GivenUp);
            let waker = inner.reader.take();
            unlock_and_wake(inner, waker);
        }
    }
}

/// The connection's end. Its drop tells the script that the client left.
pub struct ResponseReader {
    inner: Arc<Mutex<Inner>>,
}

/// What [`ResponseReader::withdraw`] found.
pub enum Withdrawal {
    /// No thread had begun the job; none will.
    Withdrawn,
    /// A thread has begun; the reader is handed back.
    Begun(ResponseReader),
}

impl ResponseReader {
    /// The next part, or how the response ended.
    pub fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Result<Part, Outcome>> {
        let mut inner = lock(&self.inner);
        if let Some(part) = inner.parts.pop() {
            if inner.parts.len() < PARTS {
                let waker = inner.writer.take();
                unlock_and_wake(inner, waker);
            }
            return Poll::Ready(Ok(part));
        }
        if let Some(outcome) = inner.outcome {
            return Poll::Ready(Err(outcome));
        }
        match &inner.reader {
            Some(waker) if waker.will_wake(cx.waker()) => {}
            _ => inner.reader = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    /// Gives the job up if no thread has begun it.
    pub fn withdraw(self) -> Withdrawal {
        {
            let mut inner = lock(&self.inner);
            if !inner.begun {
                inner.reader_gone = true;
                return Withdrawal::Withdrawn;
            }
        }
        Withdrawal::Begun(self)
    }
}

impl Drop for ResponseReader {
    fn drop(&mut self) {
        let mut inner = lock(&self.inner);
        inner.reader_gone = true;
        inner.parts = Parts::default();
        let waker = inner.writer.take();
        let leash = inner.leash.take();
        unlock_and_wake(inner, waker);
        if let Some(leash) = leash {
            leash.client_left();
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn flush(writer: &mut ResponseWriter) -> Poll<Result<(), ClientLeft>> {
        writer.poll_flush(&mut Context::from_waker(Waker::noop()))
    }

    fn part(reader: &mut ResponseReader) -> Poll<Result<Part, Outcome>> {
        reader.poll_part(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn a_small_answer_is_one_part() {
        let (mut writer, mut reader) = response_port();
        writer.set_head(Head::new(200));
        assert!(writer.write(b"hello"));
        writer.finish();
        let expected = Part::Head {
            head: Head::new(200),
            body: Bytes::from_static(b"hello"),
            complete: true,
        };
        assert_eq!(part(&mut reader), Poll::Ready(Ok(expected)));
        assert_eq!(part(&mut reader), Poll::Ready(Err(Outcome::Complete)));
    }

    #[test]
    fn a_slow_reader_makes_the_writer_wait_and_nothing_is_lost() {
        let (mut writer, mut reader) = response_port();
        writer.set_head(Head::new(200));
        assert_eq!(flush(&mut writer), Poll::Ready(Ok(())));
        for n in 1..PARTS as u8 {
            writer.write(&[n]);
            assert_eq!(flush(&mut writer), Poll::Ready(Ok(())));
        }
        writer.write(b"z");
        assert!(flush(&mut writer).is_pending());
        assert!(matches!(
            part(&mut reader),
            Poll::Ready(Ok(Part::Head {
                complete: false,
                ..
            }))
        ));
        assert_eq!(flush(&mut writer), Poll::Ready(Ok(())));
        writer.finish();
        for n in 1..PARTS as u8 {
            assert_eq!(
                part(&mut reader),
                Poll::Ready(Ok(Part::Body(Bytes::from(vec![n]))))
            );
        }
        assert_eq!(
            part(&mut reader),
            Poll::Ready(Ok(Part::Body(Bytes::from_static(b"z"))))
        );
        assert_eq!(part(&mut reader), Poll::Ready(Err(Outcome::Complete)));
    }

    #[test]
    fn a_dropped_writer_is_never_a_complete_answer() {
        let (mut writer, mut reader) = response_port();
        writer.set_head(Head::new(200));
        writer.write(b"never handed over");
        drop(writer);
        assert_eq!(part(&mut reader), Poll::Ready(Err(Outcome::Aborted)));
    }

    #[test]
    fn a_thread_that_was_given_up_has_no_more_say() {
        let (mut writer, mut reader) = response_port();
        assert!(writer.begin());
        writer.set_head(Head::new(200));
        writer.breaker().give_up();
        assert_eq!(flush(&mut writer), Poll::Ready(Err(ClientLeft)));
        writer.finish();
        assert_eq!(part(&mut reader), Poll::Ready(Err(Outcome::GivenUp)));
    }

    #[test]
    fn a_job_is_withdrawn_only_before_it_begins() {
        let (mut writer, reader) = response_port();
        assert!(matches!(reader.withdraw(), Withdrawal::Withdrawn));
        assert!(!writer.begin());

        let (mut writer, reader) = response_port();
        assert!(writer.begin());
        assert!(matches!(reader.withdraw(), Withdrawal::Begun(_)));
        assert_eq!(flush(&mut writer), Poll::Ready(Err(ClientLeft)));
    }
}
