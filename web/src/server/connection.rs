//! A connection as actix-http sees it: a byte stream that keeps the limits actix-http does not.
//!
//! - Requests reach actix-http one at a time, however they are pipelined (see [`super::framing`]).
//! - A client that begins a request's head and does not finish it is dropped after
//!   `header_read_timeout`. (actix-http times the first head of a connection only.) So is one that has
//!   its answer and does not finish the body. (actix-http reads on without a limit if that is chunked.)
//! - A client that takes nothing of a response is dropped after `write_idle_timeout`. (On HTTP/2 it may take what
//!   is written and still leave its responses no room.)
//! - Once the server drains, the stream ends as soon as no request is in flight, so that idle
//!   connections don't hold up the stop, on HTTP/2 as well.
//! - A client of HTTP/2 is told how many requests it may have in flight (see [`super::streams`]).
//! - Requests on HTTP/2 are told when a client gives a stream up (see [`super::resets`]).
//! - 1xx answers are written between two responses; actix-http has no way to say them.
//!
//! [`Facts`] is the part that requests see, as actix-web's connection data.

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::addresses::Addresses;
use super::drain::{Drain, Draining};
use super::framing::Framing;
use super::resets::{Frames, Resets};
use super::stream::{Stream, TlsFacts};
use super::streams;
use super::timer::Timer;

/// How long a client may keep a connection waiting.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    pub head: Duration,
    pub write: Duration,
}

/// What a request may know and do about its connection.
pub struct Facts {
    /// A unix socket has none.
    pub addresses: Option<Addresses>,
    pub tls: Option<TlsFacts>,
    /// On HTTP/2.
    pub resets: Option<Resets>,
    drain: Drain,
    in_flight: Cell<usize>,
    /// Of these, on HTTP/2, the responses of which a piece waits for the client.
    untaken: Cell<usize>,
    /// The present request has been answered.
    is_answered: Cell<bool>,
    /// The present request's target is too long, and not whole.
    has_cut_target: Cell<bool>,
    /// Wakes the connection when a request is no longer in flight, if it holds back another or is to end then; on
    /// HTTP/2, when there are too many or all wait for the client as well.
    holding: Cell<Option<Waker>>,
    /// 1xx answers to be written as soon as everything before them is; on HTTP/2, the first frame.
    informational: RefCell<BytesMut>,
    /// Wakes the request that waits for them, and the connection that writes them.
    informer: Cell<Option<Waker>>,
    /// For the next request that needs one.
    timer: Cell<Timer>,
}

impl Facts {
    fn new(
        addresses: Option<(SocketAddr, SocketAddr)>,
        tls: Option<TlsFacts>,
        is_http2: bool,
        drain: Drain,
    ) -> Self {
        Self {
            addresses: addresses.map(Addresses::new),
            tls,
            resets: is_http2.then(Resets::default),
            drain,
            in_flight: Cell::new(0),
            untaken: Cell::new(0),
            is_answered: Cell::new(false),
            has_cut_target: Cell::new(false),
            holding: Cell::default(),
            informational: RefCell::default(),
            informer: Cell::default(),
            timer: Cell::default(),
        }
    }

    #[cfg(test)]
    pub fn for_tests(addresses: Option<(SocketAddr, SocketAddr)>, tls: Option<TlsFacts>) -> Self {
        Self::new(addresses, tls, false, Drain::default())
    }

    /// A request begins; it ends with the drop of what is returned, when its response is complete.
    pub fn enter(self: &Rc<Self>) -> InFlight {
        self.in_flight.set(self.in_flight.get() + 1);
        if self.is_overrun() {
            self.wake_connection();
        }
        InFlight {
            facts: self.clone(),
            is_untaken: false,
        }
    }

    /// Whether the end of the present request's target is missing: it was longer than any server takes.
    pub fn has_cut_target(&self) -> bool {
        self.has_cut_target.get()
    }

    /// Whether all that is in flight waits for the client.
    fn is_untaken(&self) -> bool {
        self.in_flight.get() > 0 && self.untaken.get() == self.in_flight.get()
    }

    fn wake_connection(&self) {
        if let Some(connection) = self.holding.take() {
            connection.wake();
        }
    }

    /// Whether the client of HTTP/2 has more requests in flight than is borne.
    pub fn is_overrun(&self) -> bool {
        self.resets.is_some() && self.in_flight.get() > streams::MOST
    }

    /// The client as it is named in records.
    pub fn client(&self) -> &str {
        let addresses = self.addresses.as_ref();
        addresses.map_or("unix:", |addresses| &addresses.client_ip)
    }

    /// A timer that does not run: the one that was kept, or a new one.
    pub fn timer(&self) -> Timer {
        self.timer.take()
    }

    /// Keeps a timer for the next request.
    pub fn keep(&self, mut timer: Timer) {
        timer.stop();
        self.timer.set(timer);
    }

    /// Whether the server is about to stop.
    pub fn is_draining(&self) -> bool {
        self.drain.is_announced()
    }

    /// Writes a 1xx answer before the response. Left out on HTTP/2.
    pub async fn inform(&self, head: &[u8]) {
        if self.resets.is_some() {
            return;
        }
        self.informational.borrow_mut().extend_from_slice(head);
        // The response must not overtake it: actix-http flushes when its handler has nothing to say.
        std::future::poll_fn(|cx| match self.informational.borrow().is_empty() {
            true => Poll::Ready(()),
            false => {
                self.informer.set(Some(cx.waker().clone()));
                Poll::Pending
            }
        })
        .await;
    }
}

/// A request between its head and the end of its response.
pub struct InFlight {
    /// Of its connection.
    facts: Rc<Facts>,
    is_untaken: bool,
}

impl InFlight {
    /// Of its connection.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// A piece of the response is given to actix-http, which on HTTP/2 asks for the next when the client has
    /// taken it.
    pub fn give(&mut self) {
        if self.facts.resets.is_none() || std::mem::replace(&mut self.is_untaken, true) {
            return;
        }
        self.facts.untaken.set(self.facts.untaken.get() + 1);
        if self.facts.is_untaken() {
            self.facts.wake_connection();
        }
    }

    /// The piece that was given, if there was one, is taken.
    pub fn take(&mut self) {
        if std::mem::take(&mut self.is_untaken) {
            self.facts.untaken.set(self.facts.untaken.get() - 1);
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.take();
        self.facts.in_flight.set(self.facts.in_flight.get() - 1);
        self.facts.is_answered.set(true);
        self.facts.wake_connection();
    }
}

/// See the module.
pub struct Connection {
    stream: Stream,
    facts: Rc<Facts>,
    patience: Patience,
    /// Read already, and not yet passed on.
    read_ahead: BytesMut,
    framing: Framing,
    frames: Frames,
    /// A stream was reset in what was read last.
    has_reset: bool,
    /// Only a client of HTTP/2 has to be told anything before the first response.
    is_greeted: bool,
    /// Something was read on HTTP/2 since it was last found to be idle.
    has_news: bool,
    head: Timer,
    write: Timer,
    /// On HTTP/2, while all that is in flight waits for the client.
    untaken: Timer,
    draining: Draining,
}

impl Connection {
    pub fn new(
        stream: Stream,
        read_ahead: BytesMut,
        is_http2: bool,
        patience: Patience,
        drain: &Drain,
    ) -> Self {
        let (addresses, tls) = (stream.addresses(), stream.tls());
        let facts = Facts::new(addresses, tls, is_http2, drain.clone());
        Self {
            stream,
            facts: Rc::new(facts),
            patience,
            read_ahead,
            framing: Framing::default(),
            frames: Frames::default(),
            has_reset: false,
            is_greeted: !is_http2,
            has_news: false,
            head: Timer::default(),
            write: Timer::default(),
            untaken: Timer::default(),
            draining: drain.begun(),
        }
    }

    pub fn facts(&self) -> &Rc<Facts> {
        &self.facts
    }

    fn wake_when_idle(&self, cx: &Context<'_>) {
        self.facts.holding.set(Some(cx.waker().clone()));
    }

    fn write_informational(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let facts = self.facts.clone();
        let mut informational = facts.informational.borrow_mut();
        while !informational.is_empty() {
            let polled = Pin::new(&mut self.stream).poll_write(cx, &informational);
            let count = ready!(self.after_write(polled, cx))?;
            informational.advance(count);
        }
        Poll::Ready(Ok(()))
    }

    /// Before the first write on HTTP/2, of `bytes`; returns how many of them it wrote in another form.
    fn greet(&mut self, bytes: &[u8], cx: &mut Context<'_>) -> Poll<io::Result<Option<usize>>> {
        if self.is_greeted {
            return Poll::Ready(Ok(None));
        }
        let limited = streams::limited(bytes);
        if let Some((frame, _)) = &limited
            && self.facts.informational.borrow().is_empty()
        {
            self.facts
                .informational
                .borrow_mut()
                .extend_from_slice(frame);
        }
        ready!(self.write_informational(cx))?;
        self.is_greeted = true;
        Poll::Ready(Ok(limited.map(|(_, count)| count)))
    }

    fn is_idle(&self) -> bool {
        self.facts.in_flight.get() == 0
    }

    /// After a write: progress resets the timer, standing still runs it.
    fn after_write<T>(
        &mut self,
        polled: Poll<io::Result<T>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        match polled {
            Poll::Ready(result) => {
                self.write.stop();
                Poll::Ready(result)
            }
            Poll::Pending => {
                ready!(self.write.poll(self.patience.write, cx));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(resets) = this.facts.resets.clone() {
            return this.read_http2(&resets, cx, buffer);
        }
        if this.facts.is_answered.get() && this.framing.next() {
            this.facts.is_answered.set(false);
            this.head.stop();
        }
        let is_draining = this.draining.poll(cx);
        if !this.is_idle() {
            this.head.stop();
            if is_draining {
                this.wake_when_idle(cx);
            }
        }
        match this.read_request(cx, buffer) {
            Poll::Ready(result) => {
                // A head that is complete becomes a request before anything more is read. Should actix-http find that
                // it is not, its own time limit for idle connections ends this one.
                if this.is_idle() && !this.framing.has_head() {
                    this.head.start(this.patience.head);
                }
                Poll::Ready(result)
            }
            Poll::Pending => {
                // A request that is there is still answered.
                let is_between = this.facts.is_answered.get() || !this.framing.has_head();
                if is_draining && is_between && this.is_idle() {
                    return Poll::Ready(Ok(()));
                }
                if this.framing.is_in_body() {
                    match this.facts.is_answered.get() {
                        true => this.head.start(this.patience.head),
                        false => this.wake_when_idle(cx),
                    }
                }
                if !this.head.is_running() {
                    return Poll::Pending;
                }
                ready!(this.head.poll(this.patience.head, cx));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

/// Bytes of the next requests that are read while one is in flight. Beyond that they stay in the
/// kernel, and so does the news that the client left.
const MOST_READ_AHEAD: usize = 16 * 1024;

impl Connection {
    /// What has frames between requests, and pings of its own to find dead clients.
    fn read_http2(
        &mut self,
        resets: &Resets,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // What is read is understood before more is asked for.
        if std::mem::take(&mut self.has_reset) {
            resets.announce();
        }
        if self.facts.is_overrun() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let before = buffer.filled().len();
        if !self.read_ahead.is_empty() {
            let count = self.read_ahead.len().min(buffer.remaining());
            buffer.put_slice(&self.read_ahead.split_to(count));
        } else {
            let is_draining = self.draining.poll(cx);
            match Pin::new(&mut self.stream).poll_read(cx, buffer) {
                Poll::Pending if is_draining && self.is_idle() => {
                    // What was read may have begun a request, which is not in flight before this returns.
                    if std::mem::take(&mut self.has_news) {
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                    return Poll::Ready(Ok(()));
                }
                Poll::Pending => return self.wait_for_taking(cx),
                Poll::Ready(result) => result?,
            }
        }
        self.has_news = true;
        let read = &buffer.filled()[before..];
        let seen = self.frames.follow(read);
        self.has_reset = seen.reset;
        if seen.window {
            self.untaken.stop();
        }
        if read.is_empty() {
            resets.announce();
        }
        Poll::Ready(Ok(()))
    }

    /// A client that takes nothing for too long ends the connection, unless a request on it waits for something
    /// else.
    fn wait_for_taking(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.wake_when_idle(cx);
        if !self.facts.is_untaken() {
            self.untaken.stop();
            return Poll::Pending;
        }
        ready!(self.untaken.poll(self.patience.write, cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// Reads of the present request only.
    fn read_request(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.read_ahead.is_empty() {
            let count = self.read_ahead.len().min(buffer.remaining());
            let admitted = self.framing.admit(&mut self.read_ahead[..count]);
            self.facts.has_cut_target.set(self.framing.is_cut());
            let taken = self.read_ahead.split_to(admitted.taken);
            if self.read_ahead.is_empty() {
                // An empty one would keep the memory of what it held.
                self.read_ahead = BytesMut::new();
            }
            if admitted.passed > 0 {
                buffer.put_slice(&taken[..admitted.passed]);
                return Poll::Ready(Ok(()));
            }
            if taken.is_empty() {
                break;
            }
        }
        loop {
            if !self.read_ahead.is_empty() {
                self.wake_when_idle(cx);
            }
            if self.read_ahead.len() >= MOST_READ_AHEAD {
                return Poll::Pending;
            }
            let before = buffer.filled().len();
            ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
            let read = &mut buffer.filled_mut()[before..];
            let admitted = self.framing.admit(read);
            self.facts.has_cut_target.set(self.framing.is_cut());
            let is_end = read.is_empty();
            self.read_ahead.extend_from_slice(&read[admitted.taken..]);
            buffer.set_filled(before + admitted.passed);
            if admitted.passed > 0 || is_end {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if let Some(count) = ready!(this.greet(bytes, cx))? {
            return Poll::Ready(Ok(count));
        }
        let polled = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.after_write(polled, cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let first = slices.first().map_or(&[][..], |slice| slice);
        if let Some(count) = ready!(this.greet(first, cx))? {
            return Poll::Ready(Ok(count));
        }
        let polled = Pin::new(&mut this.stream).poll_write_vectored(cx, slices);
        this.after_write(polled, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// actix-http flushes when all it had to write is written: the moment for 1xx answers.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.write_informational(cx))?;
        if let Some(informer) = this.facts.informer.take() {
            informer.wake();
        }
        let polled = Pin::new(&mut this.stream).poll_flush(cx);
        this.after_write(polled, cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(resets) = &self.facts.resets {
            resets.announce();
        }
    }
}
