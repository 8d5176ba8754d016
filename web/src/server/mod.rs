//! The HTTP server: sockets and TLS in, actix-http in the middle, [`crate::app`] behind it.
//!
//! ```text
//! listener ─► accept ─► (TLS) ─► h1 or h2? ─► Connection ─► actix-http ─► app ─► response
//! ```
//!
//! It is put together from actix-server and actix-http instead of actix-web's `HttpServer`, which is
//! the same but for one thing: here each connection can be wrapped (see [`connection`]), all kinds of
//! listeners speak HTTP/2, and an idle connection does not delay the stop.

mod addresses;
mod application;
mod connection;
mod drain;
mod framing;
mod listen;
mod resets;
mod stream;
mod streams;
mod timer;
mod tls;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use actix_http::error::{DispatchError, ParseError};
use actix_http::{HttpService, Protocol, Request};
use actix_server::{Server, ServerHandle};
use actix_service::{
    Service, ServiceFactory, ServiceFactoryExt as _, apply_fn_factory, fn_service,
};
use actix_web::body::{BoxBody, MessageBody};
use actix_web::http::{StatusCode, header};
use bytes::BytesMut;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

pub use self::application::application;
pub use self::connection::{Facts, InFlight, Patience};
pub use self::drain::Drain;
pub use self::listen::{BindError, Listener};
pub use self::resets::Resets;
#[cfg(test)]
pub use self::stream::TlsFacts;
pub use self::timer::Timer;
pub use self::tls::{Certificates, TlsError};

use self::connection::Connection;
use self::stream::Stream;
use crate::{access, answer, config};

/// How connections are treated.
#[derive(Debug, Clone)]
pub struct Settings {
    pub threads: usize,
    /// On all threads together.
    pub max_connections: usize,
    pub keep_alive: Duration,
    pub patience: Patience,
    /// The largest request body, in bytes.
    pub body_size: u64,
    /// How long running requests may take to end at the stop.
    pub grace: Duration,
}

impl Settings {
    pub fn new(server: &config::Server) -> Self {
        Self {
            threads: server.io_threads,
            max_connections: server.max_connections,
            keep_alive: server.keep_alive,
            patience: Patience {
                head: server.header_read_timeout,
                write: server.write_idle_timeout,
            },
            body_size: server.body_size.0,
            grace: server.shutdown_grace,
        }
    }
}

/// How long a client may take to read the end of a response it did not want to send the rest of its
/// request for.
const LINGER: Duration = Duration::from_secs(2);

/// How long clients may still ask after the stop began, and learn from the answer that it was their connection's
/// last one.
const FAREWELL: Duration = Duration::from_millis(100);

/// A running server.
pub struct Running {
    handle: ServerHandle,
    drain: Drain,
}

impl Running {
    /// Serves no more: refuses connections after a moment, lets running requests end within the grace, then
    /// cuts them off.
    pub async fn stop(&self) {
        self.drain.announce();
        sleep(FAREWELL).await;
        self.drain.begin();
        self.handle.stop(true).await;
    }
}

/// Serves `app` on `listeners`. `app` is called once for each listener on each I/O thread.
pub fn start<A, S, B>(
    settings: &Settings,
    listeners: Vec<Listener>,
    certificates: Option<&Certificates>,
    app: A,
) -> io::Result<(Running, Server)>
where
    A: Fn() -> S + Send + Clone + 'static,
    S: ServiceFactory<Request, Config = (), InitError = ()> + 'static,
    S::Error: Into<actix_http::Response<BoxBody>> + 'static,
    S::Response: Into<actix_http::Response<B>> + 'static,
    <S::Service as Service<Request>>::Future: 'static,
    S::Service: 'static,
    B: MessageBody + 'static,
{
    let drain = Drain::default();
    let mut builder = Server::build()
        .workers(settings.threads)
        .max_concurrent_connections(settings.max_connections.div_ceil(settings.threads))
        // What is still running then is cut off.
        .shutdown_timeout(settings.grace.as_secs().max(1))
        .disable_signals();
    let acceptor = match certificates {
        Some(certificates) => {
            let config = certificates.server_config().map_err(io::Error::other)?;
            Some(TlsAcceptor::from(config))
        }
        None => None,
    };
    for listener in listeners {
        let name = listener.url();
        let opener = Opener {
            patience: settings.patience,
            drain: drain.clone(),
            acceptor: match listener {
                Listener::Tls(_) => acceptor.clone(),
                Listener::Plain(_) | Listener::Unix(..) => None,
            },
        };
        let settings = settings.clone();
        let app = app.clone();
        builder = match listener {
            Listener::Plain(socket) | Listener::Tls(socket) => {
                builder.listen(name, socket, move || {
                    let opener = opener.clone();
                    fn_service(move |socket| opener.clone().open_tcp(socket))
                        .and_then(http(&settings, app()))
                })?
            }
            Listener::Unix(socket, _) => builder.listen_uds(name, socket, move || {
                let opener = opener.clone();
                fn_service(move |socket| opener.clone().open_unix(socket))
                    .and_then(http(&settings, app()))
            })?,
        };
    }
    let server = builder.run();
    let handle = server.handle();
    Ok((Running { handle, drain }, server))
}

/// actix-http over our connections, with an application behind it.
fn http<S, B>(
    settings: &Settings,
    app: S,
) -> impl ServiceFactory<Opened, Config = (), Response = (), Error = DispatchError, InitError = ()>
+ use<S, B>
where
    S: ServiceFactory<Request, Config = (), InitError = ()> + 'static,
    S::Error: Into<actix_http::Response<BoxBody>> + 'static,
    S::Response: Into<actix_http::Response<B>> + 'static,
    <S::Service as Service<Request>>::Future: 'static,
    S::Service: 'static,
    B: MessageBody + 'static,
{
    let expectation = expectation(settings.body_size);
    let service = HttpService::build()
        .keep_alive(settings.keep_alive)
        .client_request_timeout(settings.patience.head)
        .client_disconnect_timeout(LINGER)
        // Otherwise a client that left goes unnoticed until something is written to it.
        .h1_allow_half_closed(false)
        .expect(expectation)
        .on_connect_ext(|connection: &Connection, extensions| {
            extensions.insert(connection.facts().clone());
        })
        .finish(app);
    // What is no request is answered without the application, but not without a record.
    apply_fn_factory(service, |opened: Opened, http| {
        // In a place of its own: a future that holds another while it waits for it has room for it twice, and so
        // has the next one around it, on every connection.
        let (client, serving) = (opened.2, Box::pin(http.call(opened)));
        async move {
            let served = serving.await;
            if let Err(DispatchError::Parse(error)) = &served {
                let status = match error {
                    ParseError::TooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                    _ => StatusCode::BAD_REQUEST,
                };
                access::malformed(client, status, error);
            }
            served
        }
    })
}

/// Asked before a client that waits for `100 Continue` gets it: a body that will be refused shall not be
/// sent at all.
fn expectation(
    body_size: u64,
) -> impl ServiceFactory<Request, Config = (), Response = Request, Error = Refusal, InitError = ()>
{
    fn_service(move |request: Request| async move {
        let length = request.head().headers.get(header::CONTENT_LENGTH);
        let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
        match length.is_some_and(|length: u64| length > body_size) {
            false => Ok(request),
            true => Err(refuse(&request, StatusCode::PAYLOAD_TOO_LARGE)),
        }
    })
}

type Refusal = actix_http::Response<BoxBody>;

/// Before the application has seen the request, so the access record is written here.
fn refuse(request: &Request, status: StatusCode) -> Refusal {
    access::refused(request.head(), status);
    answer::status(status).into()
}

/// What actix-http takes: a stream, the protocol on it, the client's address.
type Opened = (Connection, Protocol, Option<SocketAddr>);

/// Makes connections of accepted sockets.
#[derive(Clone)]
struct Opener {
    patience: Patience,
    drain: Drain,
    acceptor: Option<TlsAcceptor>,
}

impl Opener {
    async fn open_tcp(self, socket: TcpStream) -> Result<Opened, DispatchError> {
        // Responses are written in as few pieces as possible already.
        socket.set_nodelay(true)?;
        match self.acceptor.clone() {
            None => self.open(Stream::Tcp(socket)).await,
            Some(acceptor) => {
                let handshake = self.patiently(acceptor.accept(socket)).await?;
                let is_http2 = handshake.get_ref().1.alpn_protocol() == Some(b"h2");
                let stream = Stream::Tls(Box::new(handshake));
                Ok(self.opened(stream, BytesMut::new(), is_http2))
            }
        }
    }

    async fn open_unix(self, socket: UnixStream) -> Result<Opened, DispatchError> {
        self.open(Stream::Unix(socket)).await
    }

    /// Reads as much as it takes to tell HTTP/2 by prior knowledge from HTTP/1.
    async fn open(&self, mut stream: Stream) -> Result<Opened, DispatchError> {
        const PREFACE: &[u8] = b"PRI * HTTP/2.0";
        let mut read = BytesMut::with_capacity(8 * 1024);
        let is_http2 = loop {
            if read.starts_with(PREFACE) {
                break true;
            }
            if !read.is_empty() && !PREFACE.starts_with(&read) {
                break false;
            }
            if self.patiently(stream.read_buf(&mut read)).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
        };
        Ok(self.opened(stream, read, is_http2))
    }

    fn opened(&self, stream: Stream, read_ahead: BytesMut, is_http2: bool) -> Opened {
        let connection = Connection::new(stream, read_ahead, is_http2, self.patience, &self.drain);
        let protocol = match is_http2 {
            true => Protocol::Http2,
            false => Protocol::Http1,
        };
        let addresses = connection.facts().addresses.as_ref();
        let client = addresses.map(|addresses| addresses.client);
        (connection, protocol, client)
    }

    /// Waits for the client as long as it may take over a head, and not beyond the server's stop.
    async fn patiently<T>(&self, step: impl Future<Output = io::Result<T>>) -> io::Result<T> {
        tokio::select! {
            biased;
            done = timeout(self.patience.head, step) => done?,
            () = self.drain.wait() => Err(io::ErrorKind::ConnectionAborted.into()),
        }
    }
}

#[cfg(test)]
mod tests;
