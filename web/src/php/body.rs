//! A request's body on its way to the script.
//!
//! A small body is read whole before a PHP thread is asked for, so that a slow client holds up a
//! connection and no thread. Larger ones, and those of unknown length, are pumped into a bounded port
//! while the script runs: the client is read as fast as the script reads, and no faster.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_web::dev::Payload;
use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use tokio::time::timeout;
use troupe_sapi::{BodyWriter, RequestBody, body_port};

use crate::server::Resets;

/// Bodies up to this are read before the script starts.
const SMALL: u64 = 64 * 1024;

/// The limits of a body.
#[derive(Debug, Clone, Copy)]
pub struct BodyLimits {
    /// In bytes.
    pub size: u64,
    /// Between two pieces of it.
    pub idle: Duration,
}

/// Why a body can't be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyProblem {
    #[error("the request body is larger than the server takes")]
    TooLarge,
    #[error("the request body did not arrive in time")]
    TooSlow,
    #[error("the request body is malformed or incomplete")]
    Broken,
    /// Said on HTTP/2 only, and after the body, too; on HTTP/1 actix-http drops everything.
    #[error("the client has given the request up")]
    Left,
}

/// A body for a script.
pub struct Body {
    pub body: RequestBody,
    /// As announced or, of a whole body, as counted.
    pub length: Option<u64>,
    /// To be polled along with the response.
    pub pump: Pump,
}

impl Body {
    fn whole(body: RequestBody, length: Option<u64>, client: Client) -> Self {
        Self {
            body,
            length,
            pump: match client.resets {
                None => Pump::idle(),
                Some(_) => Pump::new(client.left()),
            },
        }
    }
}

/// What comes of the client beside the head.
struct Client {
    payload: Payload,
    /// Of its connection, on HTTP/2.
    resets: Option<Resets>,
}

type Chunk = Result<Bytes, BodyProblem>;

impl Client {
    async fn next(&mut self) -> Option<Chunk> {
        poll_fn(|cx| self.poll(cx)).await
    }

    /// The next chunk if it is there already.
    async fn now(&mut self) -> Option<Option<Chunk>> {
        poll_fn(|cx| {
            Poll::Ready(match self.poll(cx) {
                Poll::Ready(chunk) => Some(chunk),
                Poll::Pending => None,
            })
        })
        .await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Chunk>> {
        let chunk = ready!(Pin::new(&mut self.payload).poll_next(cx));
        Poll::Ready(chunk.map(|chunk| {
            chunk.map_err(|_| match self.resets {
                None => BodyProblem::Broken,
                Some(_) => BodyProblem::Left,
            })
        }))
    }

    /// Waits until the client has given the request up; on HTTP/1 there is nothing to wait for.
    async fn left(mut self) -> Result<(), BodyProblem> {
        let Some(resets) = self.resets.clone() else {
            return Ok(());
        };
        loop {
            let next = resets.next();
            // The reset comes after what nobody wanted to read.
            while let Some(Some(unread)) = self.now().await {
                unread?;
            }
            next.await;
        }
    }
}

/// Moves a body from the connection to the script, on the connection's own task: when the script is
/// done, or the client is gone, nothing is left behind.
pub struct Pump(Option<Pin<Box<Moving>>>);

type Moving = dyn Future<Output = Result<(), BodyProblem>>;

impl Pump {
    pub fn new(moving: impl Future<Output = Result<(), BodyProblem>> + 'static) -> Self {
        Self(Some(Box::pin(moving)))
    }

    /// For a body that is there already.
    pub fn idle() -> Self {
        Self(None)
    }

    /// Moves what can be moved; says so once when the rest will never come, or the client has left.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Result<(), BodyProblem> {
        let Some(pump) = &mut self.0 else {
            return Ok(());
        };
        match pump.as_mut().poll(cx) {
            Poll::Pending => Ok(()),
            Poll::Ready(result) => {
                self.0 = None;
                result
            }
        }
    }
}

/// Takes the body over, of the length that the client announced, if it did.
pub async fn receive(
    payload: Payload,
    resets: Option<Resets>,
    announced: Option<u64>,
    limits: BodyLimits,
) -> Result<Body, BodyProblem> {
    let has_none = matches!(payload, Payload::None);
    let mut client = Client { payload, resets };
    match announced {
        Some(length) if length > limits.size => Err(BodyProblem::TooLarge),
        Some(0) => Ok(Body::whole(RequestBody::Empty, Some(0), client)),
        Some(length) if length <= SMALL => {
            let whole = read_whole(&mut client, length, limits).await?;
            Ok(Body::whole(RequestBody::Whole(whole), announced, client))
        }
        Some(_) => Ok(stream(None, client, announced, limits)),
        None if has_none => Ok(Body::whole(RequestBody::Empty, None, client)),
        None => match client.now().await {
            // HTTP/2 says only here that there is no body.
            Some(None) => Ok(Body::whole(RequestBody::Empty, None, client)),
            Some(Some(chunk)) => Ok(stream(Some(chunk?), client, None, limits)),
            None => Ok(stream(None, client, None, limits)),
        },
    }
}

async fn read_whole(
    client: &mut Client,
    length: u64,
    limits: BodyLimits,
) -> Result<Bytes, BodyProblem> {
    let mut whole = BytesMut::new();
    while (whole.len() as u64) < length {
        let chunk = match timeout(limits.idle, client.next()).await {
            Err(_) => return Err(BodyProblem::TooSlow),
            Ok(None) => break,
            Ok(Some(chunk)) => chunk?,
        };
        if whole.is_empty() && chunk.len() as u64 == length {
            return Ok(chunk);
        }
        whole.extend_from_slice(&chunk);
    }
    match whole.len() as u64 == length {
        true => Ok(whole.freeze()),
        false => Err(BodyProblem::Broken),
    }
}

fn stream(
    first: Option<Bytes>,
    client: Client,
    announced: Option<u64>,
    limits: BodyLimits,
) -> Body {
    let (writer, reader) = body_port();
    Body {
        body: RequestBody::Stream(reader),
        length: announced,
        pump: Pump::new(pump(first, client, writer, announced, limits)),
    }
}

/// Ends when the body does, when the script needs no more of it, or with a problem; then the writer's
/// drop tells the script that the rest will not come.
async fn pump(
    mut first: Option<Bytes>,
    mut client: Client,
    mut writer: BodyWriter,
    announced: Option<u64>,
    limits: BodyLimits,
) -> Result<(), BodyProblem> {
    let mut passed = 0;
    loop {
        let chunk = match first.take() {
            Some(chunk) => chunk,
            None if announced == Some(passed) => {
                writer.finish();
                return client.left().await;
            }
            None => match timeout(limits.idle, client.next()).await {
                Err(_) => return Err(BodyProblem::TooSlow),
                Ok(Some(chunk)) => chunk?,
                Ok(None) => {
                    writer.finish();
                    return client.left().await;
                }
            },
        };
        passed += chunk.len() as u64;
        if passed > limits.size {
            return Err(BodyProblem::TooLarge);
        }
        let ready = poll_fn(|cx| writer.poll_ready(cx)).await;
        if ready.is_err() {
            drop(writer);
            return client.left().await;
        }
        writer.push(chunk);
    }
}
