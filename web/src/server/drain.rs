//! The news that the server is about to stop, for every connection on every I/O thread.
//!
//! It comes in two steps: at first responses say that their connections end with them, then those connections end
//! that wait for a request. A client that asks on meanwhile, as proxies do all the time, does not ask in vain.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Waker};

use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// Says it; clones are handles to the same one.
#[derive(Debug, Clone, Default)]
pub struct Drain(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    announced: AtomicBool,
    /// Kept beside the token because asking a token takes a lock.
    begun: AtomicBool,
    token: CancellationToken,
}

impl Drain {
    /// Responses are their connections' last ones from now on.
    pub fn announce(&self) {
        self.0.announced.store(true, Ordering::SeqCst);
    }

    pub fn is_announced(&self) -> bool {
        self.0.announced.load(Ordering::SeqCst)
    }

    /// Connections that are idle end from now on.
    pub fn begin(&self) {
        self.0.begun.store(true, Ordering::SeqCst);
        self.0.token.cancel();
    }

    /// For one task that wants to be woken.
    pub fn begun(&self) -> Draining {
        Draining {
            drain: self.clone(),
            wait: Box::pin(self.0.token.clone().cancelled_owned()),
            registered: None,
        }
    }

    pub async fn wait(&self) {
        self.0.token.cancelled().await;
    }
}

/// One task's wait for it.
pub struct Draining {
    drain: Drain,
    wait: Pin<Box<WaitForCancellationFutureOwned>>,
    registered: Option<Waker>,
}

impl Draining {
    /// Whether it has begun; otherwise the task is woken when it does. Takes a lock only when the
    /// task is a new one, so that a request costs an atomic load.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> bool {
        if self.drain.0.begun.load(Ordering::SeqCst) {
            return true;
        }
        let is_registered = self.registered.as_ref();
        if is_registered.is_some_and(|waker| waker.will_wake(cx.waker())) {
            return false;
        }
        self.registered = Some(cx.waker().clone());
        self.wait.as_mut().poll(cx).is_ready()
    }
}
