//! Every request's way through the server: host → site → target → answer → compression → log.

use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use actix_http::{Payload, Request, RequestHead, Response};
use actix_service::{ServiceFactory, fn_service};
use actix_web::HttpResponse;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::http::{ConnectionType, Method, StatusCode, Version, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use troupe_sapi::Scope;

use crate::access::Followed;
use crate::answer;
use crate::compress;
use crate::config::Encoding;
use crate::config::value::Table;
use crate::host::Host;
use crate::logging::Access;
use crate::php::{self, Hub, Job, Limits, Pool};
use crate::route::{Hosts, Router, Script, Target};
use crate::server::Facts;
use crate::static_files;

/// What all I/O threads share.
pub struct State {
    pub hosts: Hosts,
    pub sites: Vec<Site>,
    /// For scripts that are nobody's worker.
    pub classic: Pool,
    pub limits: Limits,
    /// Request line and headers, in bytes.
    pub header_size: u64,
    pub compress: Vec<Encoding>,
    pub access: Option<Access>,
}

/// One site, ready to serve.
pub struct Site {
    pub router: Router,
    pub env: Table,
    /// Its background workers.
    pub scope: Option<Arc<dyn Scope>>,
    /// As the router counts them.
    pub workers: Vec<Pool>,
}

/// The application for one I/O thread: right behind actix-http, since it needs nothing of what actix-web has between.
pub fn app(
    state: Arc<State>,
) -> impl ServiceFactory<
    Request,
    Config = (),
    Response = Response<BoxBody>,
    Error = Infallible,
    InitError = (),
> {
    let app = Rc::new((state, Hub::start()));
    fn_service(move |request| {
        let app = app.clone();
        async move {
            let (state, hub) = &*app;
            Ok(serve(state, hub, request).await.into())
        }
    })
}

/// Answers one request, and sees to it that its end is noticed.
async fn serve(state: &State, hub: &Hub, mut request: Request) -> HttpResponse<BoxBody> {
    let received = Instant::now();
    let payload = request.take_payload();
    let Some(facts) = request.conn_data::<Rc<Facts>>().cloned() else {
        // Every connection is opened with its facts.
        return answer::status(StatusCode::INTERNAL_SERVER_ERROR);
    };
    let about = About {
        facts: &facts,
        id: php::next_id(),
        received,
    };
    let access = state.access.clone();
    let followed = Followed::new(facts.enter(), access, about.id, received, request);
    let request = followed.request();
    let response = answer(state, hub, request, payload, &about).await;
    let mut response = compress::apply(&request.head().headers, response, &state.compress);
    suit_connection(request.head(), &mut response, facts.is_draining());
    followed.answered(response)
}

/// Has a response say that its connection ends with it, where it does.
fn suit_connection(request: &RequestHead, response: &mut HttpResponse<BoxBody>, is_draining: bool) {
    // HTTP/1.0 knows no chunks: what has no length goes on until the connection ends.
    let is_unchunked =
        request.version == Version::HTTP_10 && matches!(response.body().size(), BodySize::Stream);
    // actix-http keeps no connection of a client that would like another protocol.
    let is_upgrade = request.connection_type() == ConnectionType::Upgrade;
    let head = response.head_mut();
    if is_unchunked {
        head.no_chunking(true);
    }
    if is_draining || is_unchunked || is_upgrade {
        head.set_connection_type(ConnectionType::Close);
    }
}

/// What is known of a request beside what the client sent.
struct About<'a> {
    facts: &'a Rc<Facts>,
    id: u64,
    received: Instant,
}

async fn answer(
    state: &State,
    hub: &Hub,
    request: &Request,
    payload: Payload,
    about: &About<'_>,
) -> HttpResponse<BoxBody> {
    let &About {
        facts,
        id,
        received,
    } = about;
    let head = request.head();
    if facts.is_overrun() {
        return answer::status(StatusCode::SERVICE_UNAVAILABLE);
    }
    let target = target_size(head);
    if facts.has_cut_target() || target > state.header_size {
        return answer::status(StatusCode::URI_TOO_LONG);
    }
    if target + header_size(head) > state.header_size {
        return answer::status(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    }
    // Neither a proxy nor an echo.
    if matches!(head.method, Method::CONNECT | Method::TRACE) {
        return answer::status(StatusCode::METHOD_NOT_ALLOWED);
    }
    let host = match Host::of(head) {
        Ok(host) => host,
        Err(bad) => return answer::text(StatusCode::BAD_REQUEST, &bad.to_string()),
    };
    let Some(site) = state.hosts.find(host.as_str()) else {
        return answer::status(StatusCode::MISDIRECTED_REQUEST);
    };
    let site = &state.sites[site];
    let path = head.uri.path();
    if path == "*" && head.method == Method::OPTIONS {
        return options_of_the_server();
    }
    match site.router.resolve(path, received) {
        Target::Static(file) => static_files::respond(request, file, &state.compress),
        Target::Php(script) => {
            let job = Job {
                id,
                received,
                request: head,
                facts,
                host,
                pool: pool_of(&script, site, &state.classic),
                script,
                site_env: &site.env,
                scope: site.scope.clone(),
                limits: state.limits,
                hub,
            };
            php::respond(job, payload).await
        }
        Target::Redirect(path) => redirect(head, &path),
        Target::NotFound => answer::status(StatusCode::NOT_FOUND),
        Target::Forbidden => {
            tracing::warn!(request = id, path, "refused: the file must not be read");
            answer::status(StatusCode::FORBIDDEN)
        }
        Target::BadRequest(bad) => answer::text(StatusCode::BAD_REQUEST, &bad.to_string()),
        Target::Failed(errno) => {
            tracing::error!(request = id, path, "the file can't be opened: {errno}");
            answer::status(StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}

fn pool_of<'a>(script: &Script, site: &'a Site, classic: &'a Pool) -> &'a Pool {
    let worker = script
        .file
        .worker
        .and_then(|worker| site.workers.get(worker));
    worker.unwrap_or(classic)
}

fn target_size(request: &RequestHead) -> u64 {
    let target = request.uri.path_and_query();
    target.map_or(1, |target| target.as_str().len()) as u64
}

/// As it was on the wire: `name: value` and line ends.
fn header_size(request: &RequestHead) -> u64 {
    const SEPARATORS: usize = 4;
    let headers = request.headers.iter();
    let headers = headers.map(|(name, value)| name.as_str().len() + value.len() + SEPARATORS);
    headers.sum::<usize>() as u64
}

/// To `OPTIONS *`, which asks for no resource: what scripts may be asked with.
fn options_of_the_server() -> HttpResponse<BoxBody> {
    HttpResponse::NoContent()
        .insert_header((
            header::ALLOW,
            "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
        ))
        .finish()
}

/// What may stand in a path as it is (RFC 3986): unreserved characters, sub-delimiters, `:`, `@`, `/`.
const NOT_IN_A_PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=')
    .remove(b':')
    .remove(b'@')
    .remove(b'/');

/// To the folder with its slash; the path is canonical, so it can't be taken for another host's.
fn redirect(request: &RequestHead, path: &[u8]) -> HttpResponse<BoxBody> {
    let mut location = percent_encode(path, NOT_IN_A_PATH).to_string();
    if let Some(query) = request.uri.query() {
        location.push('?');
        location.push_str(query);
    }
    let status = match request.method {
        Method::GET | Method::HEAD => StatusCode::MOVED_PERMANENTLY,
        // The method and the body are to be sent again.
        _ => StatusCode::PERMANENT_REDIRECT,
    };
    let mut response = answer::status(status);
    if let Ok(location) = header::HeaderValue::try_from(location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}
