//! The tree's changes as server-sent events.
//!
//! `changed` carries a node without its children, `removed` an id, `missed` a number of changes that a slow
//! listener lost: it should read the tree again. A comment every few seconds keeps proxies from closing the
//! stream, and lets the server notice a listener that is gone.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::http::header;
use bytes::Bytes;
use tokio::time::timeout;
use troupe_actors::Handle;
use troupe_actors::tree::{Change, Feed};

const HEARTBEAT: Duration = Duration::from_secs(5);

pub fn stream(tree: &Handle) -> HttpResponse<BoxBody> {
    HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(Events::new(tree.tree().subscribe()))
}

type Next = Pin<Box<dyn Future<Output = (Feed, Option<String>)>>>;

struct Events {
    next: Option<Next>,
}

impl Events {
    fn new(feed: Feed) -> Self {
        let next = Box::pin(async move { (feed, Some(": listening\n\n".to_owned())) });
        Self { next: Some(next) }
    }
}

/// The next event's text; `None` when the tree is gone.
async fn next(mut feed: Feed) -> (Feed, Option<String>) {
    let event = match timeout(HEARTBEAT, feed.next()).await {
        Err(_) => Some(": still here\n\n".to_owned()),
        Ok(None) => None,
        Ok(Some(Change::Changed(node))) => {
            let node = serde_json::to_string(&*node).unwrap_or_default();
            Some(event("changed", &node))
        }
        Ok(Some(Change::Removed(id))) => Some(event("removed", id.as_str())),
        Ok(Some(Change::Missed(count))) => Some(event("missed", &count.to_string())),
    };
    (feed, event)
}

fn event(name: &str, data: &str) -> String {
    format!("event: {name}\ndata: {data}\n\n")
}

impl MessageBody for Events {
    type Error = std::convert::Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let this = self.get_mut();
        let Some(future) = &mut this.next else {
            return Poll::Ready(None);
        };
        let (feed, text) = std::task::ready!(future.as_mut().poll(cx));
        this.next = text.is_some().then(|| Box::pin(next(feed)) as Next);
        Poll::Ready(text.map(|text| Ok(Bytes::from(text))))
    }
}
