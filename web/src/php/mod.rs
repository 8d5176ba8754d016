//! The bridge to PHP: an HTTP request becomes a job for a pool, the job's response an HTTP response.
//!
//! ```text
//!   I/O thread                                        PHP thread
//!   receive body ─► Request ──► PoolPort (bounded) ─►  script
//!        pump ─────────────────────────────────────►  php://input
//!   HttpResponse ◄── Part::Head, Part::Body … ◄──────  echo, flush()
//! ```
//!
//! Nothing here waits without an end: for the body as long as the client sends, for a thread as long as
//! `max_wait_time`, for the script as long as its deadline. When the client leaves, the future or the body
//! is dropped, by actix-http or, on HTTP/2, as a problem of the request's body, and with it the reader, which
//! tells the script.

mod body;
mod exchange;
mod hub;
mod response;
mod vars;

use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use actix_http::{Payload, RequestHead};
use actix_web::HttpResponse;
use actix_web::body::BoxBody;
use actix_web::http::{StatusCode, Version, header};
use troupe_actors::{PoolPort, Refused};
use troupe_sapi::{Outcome, Part, Request, RequestBody, Scope, response_port};

pub use self::body::BodyLimits;
use self::body::{Body, BodyProblem};
use self::exchange::{Exchange, Step};
pub use self::hub::Hub;
use self::vars::{Sources, lay_out};
use crate::answer;
use crate::config::value::Table;
use crate::host::Host;
use crate::route::Script;
use crate::server::Facts;

/// The limits of a request to PHP.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub body: BodyLimits,
    pub write_idle: Duration,
    pub wait: Option<Duration>,
}

/// A pool, and what requests need to know to be served by it.
#[derive(Clone)]
pub struct Pool {
    pub port: PoolPort,
    pub env: Table,
    pub deadline: Option<Duration>,
}

/// Everything about one request for a script.
pub struct Job<'a> {
    pub id: u64,
    pub received: Instant,
    pub request: &'a RequestHead,
    pub facts: &'a Rc<Facts>,
    pub host: Host<'a>,
    pub script: Script,
    pub site_env: &'a Table,
    /// The background workers that the script may use.
    pub scope: Option<Arc<dyn Scope>>,
    pub pool: &'a Pool,
    pub limits: Limits,
    /// This I/O thread's.
    pub hub: &'a Hub,
}

/// A number for a request, unique in this process.
pub fn next_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Runs the script and returns its response as soon as it has a head.
pub async fn respond(job: Job<'_>, payload: Payload) -> HttpResponse<BoxBody> {
    let resets = job.facts.resets.clone();
    let announced = content_length(job.request);
    let payload = match payload {
        Payload::H1 { .. } if !announces_body(job.request) => Payload::None,
        payload => payload,
    };
    let body = match body::receive(payload, resets, announced, job.limits.body).await {
        Ok(body) => body,
        Err(problem) => return refuse_body(problem),
    };
    let (request, mut exchange) = exchange(&job, body);
    match job.pool.port.submit(request) {
        Ok(()) => {}
        Err(Refused::Full(_)) => {
            tracing::debug!(request = job.id, "refused: the queue is full");
            return busy(Duration::from_secs(1));
        }
        Err(Refused::Down(_, outage)) => {
            tracing::debug!(
                request = job.id,
                reason = outage.reason,
                "refused: the pool is down"
            );
            return busy(outage.retry_after);
        }
    }
    loop {
        match poll_fn(|cx| exchange.poll(cx)).await {
            Step::Part(Part::Head {
                head,
                body,
                complete,
            }) => {
                let method = &job.request.method;
                return response::build(method, head, body, complete, exchange);
            }
            Step::Part(Part::Informational(head)) => {
                if let Some(head) = response::informational(&head)
                    && job.request.version == Version::HTTP_11
                {
                    job.facts.inform(&head).await;
                }
            }
            // It was to be ended, and did not end.
            Step::End(Outcome::GivenUp) => return answer::status(StatusCode::GATEWAY_TIMEOUT),
            // Nobody has set a head: PHP could not begin, or its thread broke down.
            Step::Part(Part::Body(_)) | Step::End(_) => {
                return answer::status(StatusCode::INTERNAL_SERVER_ERROR);
            }
            Step::BadBody(problem) => return refuse_body(problem),
            Step::NoThread => {
                tracing::debug!(request = job.id, "refused: no thread took it");
                return busy(Duration::from_secs(1));
            }
        }
    }
}

fn refuse_body(problem: BodyProblem) -> HttpResponse<BoxBody> {
    answer::status(match problem {
        BodyProblem::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        BodyProblem::TooSlow => StatusCode::REQUEST_TIMEOUT,
        BodyProblem::Broken => StatusCode::BAD_REQUEST,
        BodyProblem::Left => answer::client_left(),
    })
}

fn busy(retry_after: Duration) -> HttpResponse<BoxBody> {
    let mut response = answer::status(StatusCode::SERVICE_UNAVAILABLE);
    let seconds = retry_after.as_secs_f64().ceil().max(1.0) as u64;
    response
        .headers_mut()
        .insert(header::RETRY_AFTER, seconds.into());
    response
}

/// On HTTP/1. Beyond that, actix-http takes all that follows a request to upgrade for its body.
fn announces_body(request: &RequestHead) -> bool {
    let is_announced = |name| request.headers.contains_key(name);
    is_announced(header::CONTENT_LENGTH) || is_announced(header::TRANSFER_ENCODING)
}

/// actix-http has refused what is not a number, and lengths that contradict each other.
fn content_length(request: &RequestHead) -> Option<u64> {
    let value = request.headers.get(&header::CONTENT_LENGTH)?;
    value.to_str().ok()?.parse().ok()
}

fn exchange(job: &Job<'_>, body: Body) -> (Box<Request>, Exchange) {
    let (response, reader) = response_port();
    let laid = lay_out(&Sources {
        request: job.request,
        facts: job.facts,
        host: &job.host,
        script: &job.script,
        env: [job.site_env, &job.pool.env],
        content_length: body.length,
    });
    let request = Box::new(Request {
        id: job.id,
        received: job.received,
        method: laid.method,
        uri: laid.uri,
        query: laid.query,
        script: laid.script,
        content_type: laid.content_type,
        content_length: match (&body.body, body.length) {
            (RequestBody::Empty, _) => 0,
            (_, Some(length)) => i64::try_from(length).unwrap_or(-1),
            (_, None) => -1,
        },
        cookie: laid.cookie,
        authorization: laid.authorization,
        protocol: match job.request.version {
            Version::HTTP_10 => 1000,
            Version::HTTP_2 => 2000,
            _ => 1001,
        },
        vars: laid.vars,
        scope: job.scope.clone(),
        body: body.body,
        response,
        deadline: job.pool.deadline,
        // The pump keeps this limit and knows best who was late. The script's own wait is for a connection
        // that no longer gets to move anything.
        body_idle_timeout: Some(2 * job.limits.body.idle),
        write_idle_timeout: Some(job.limits.write_idle),
    });
    let (hub, facts) = (job.hub.clone(), job.facts.clone());
    let exchange = Exchange::new(body.pump, reader, job.limits.wait, hub, facts);
    (request, exchange)
}
