//! A server without PHP, on real sockets: what the connection adds to actix-http.

use super::*;
use actix_web::HttpResponse;
use actix_web::http::ConnectionType;
use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use tokio::io::AsyncWriteExt;

use crate::config::Listen;

const PATIENCE: Duration = Duration::from_millis(300);

/// What the test application does for a path: `/slow` takes a while, `/never` for ever, `/large` sends more than any
/// buffer holds, `/hint` informs first; all others answer with method and path.
async fn answer(mut request: Request) -> Result<actix_http::Response<BoxBody>, Infallible> {
    // What is not read is let go, and read past.
    drop(request.take_payload());
    let facts = request.conn_data::<Rc<Facts>>().unwrap().clone();
    let in_flight = facts.enter();
    let text = format!("{} {}\n", request.method(), request.path());
    let mut response = match request.path() {
        "/slow" => {
            tokio::time::sleep(PATIENCE).await;
            HttpResponse::Ok().body(text)
        }
        "/never" => std::future::pending().await,
        "/large" => HttpResponse::Ok().body(vec![b'x'; 64 << 20]),
        "/hint" => {
            facts
                .inform(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n")
                .await;
            HttpResponse::Ok().body(text)
        }
        _ => HttpResponse::Ok().body(text),
    };
    if facts.is_draining() {
        let head = response.head_mut();
        head.set_connection_type(ConnectionType::Close);
    }
    let followed = crate::access::Followed::new(in_flight, None, 1, Instant::now(), request);
    Ok(followed.answered(response).into())
}

struct Fixture {
    address: SocketAddr,
    running: Running,
    served: Arc<AtomicUsize>,
}

fn serve() -> Fixture {
    serve_keeping(Duration::from_secs(60))
}

fn serve_keeping(keep_alive: Duration) -> Fixture {
    let listen = Listen::Plain("127.0.0.1:0".parse().unwrap());
    let listener = Listener::bind(&listen, false).unwrap();
    let Listener::Plain(socket) = &listener else {
        unreachable!("a plain listener was asked for");
    };
    let address = socket.local_addr().unwrap();
    let settings = Settings {
        threads: 1,
        max_connections: 100,
        keep_alive,
        patience: Patience {
            head: PATIENCE,
            write: PATIENCE,
        },
        body_size: 1 << 20,
        grace: Duration::from_secs(10),
    };
    let served = Arc::new(AtomicUsize::new(0));
    let count = served.clone();
    let app = move || {
        let count = count.clone();
        fn_service(move |request| {
            count.fetch_add(1, Ordering::SeqCst);
            answer(request)
        })
    };
    let (running, server) = start(&settings, vec![listener], None, app).unwrap();
    actix_web::rt::spawn(server);
    Fixture {
        address,
        running,
        served,
    }
}

impl Fixture {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }
}

/// Everything until the server closes.
async fn read_all(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let read = timeout(Duration::from_secs(10), stream.read_to_end(&mut bytes));
    // A reset is an end, too.
    let _ = read.await.expect("the server closes the connection");
    String::from_utf8(bytes).unwrap()
}

async fn read_until(stream: &mut TcpStream, text: &str) {
    let mut bytes = Vec::new();
    while !String::from_utf8_lossy(&bytes).contains(text) {
        let read = timeout(Duration::from_secs(10), stream.read_buf(&mut bytes));
        assert_ne!(read.await.unwrap().unwrap(), 0, "closed before {text:?}");
    }
}

/// Status lines and bodies.
fn essence(response: &str) -> Vec<&str> {
    let lines = response
        .lines()
        .filter(|line| line.starts_with("HTTP/") || line.contains(" /") && !line.contains(':'));
    lines.collect()
}

#[actix_web::test]
async fn pipelined_requests_of_different_methods_and_versions_get_their_own_answers() {
    let fixture = serve();
    let mut stream = fixture.connect().await;
    let requests = "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n\
        HEAD /b HTTP/1.1\r\nHost: x\r\n\r\n\
        POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n\
        GET /d HTTP/1.0\r\n\r\n";
    stream.write_all(requests.as_bytes()).await.unwrap();
    let response = read_all(&mut stream).await;
    assert_eq!(
        essence(&response),
        [
            "HTTP/1.1 200 OK",
            "GET /slow",
            "HTTP/1.1 200 OK",
            "HTTP/1.1 200 OK",
            "POST /c",
            "HTTP/1.0 200 OK",
            "GET /d"
        ]
    );
}

#[actix_web::test]
async fn a_client_that_does_not_finish_a_later_head_is_dropped() {
    let fixture = serve();
    let mut stream = fixture.connect().await;
    stream
        .write_all(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    read_until(&mut stream, "GET /a").await;
    // Idle for longer than a head may take, which is allowed between requests.
    tokio::time::sleep(2 * PATIENCE).await;
    stream.write_all(b"GET /b HTTP/1.1\r\nHo").await.unwrap();
    let begun = std::time::Instant::now();
    assert_eq!(read_all(&mut stream).await, "");
    assert!(begun.elapsed() >= PATIENCE / 2);
}

#[actix_web::test]
async fn a_client_that_does_not_finish_the_body_of_an_answered_request_is_dropped() {
    let fixture = serve();
    for begun in ["", "5\r\nhe", "5\r\nhello\r\n"] {
        let mut stream = fixture.connect().await;
        let head = "POST /slow HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
        let begin = Instant::now();
        let request = [head, begun].concat();
        stream.write_all(request.as_bytes()).await.unwrap();
        let response = read_all(&mut stream).await;
        assert_eq!(essence(&response), ["HTTP/1.1 200 OK", "POST /slow"]);
        // The time is counted from the answer.
        assert!(begin.elapsed() >= 2 * PATIENCE);
    }
}

#[actix_web::test]
async fn a_body_that_only_actix_sees_costs_a_client_no_more_than_its_connection() {
    let fixture = serve_keeping(PATIENCE);
    let mut stream = fixture.connect().await;
    // More of a line than framing looks at: for it, what follows is the next request's head, a whole one.
    let space = " ".repeat(300);
    let head = format!("POST /a HTTP/1.1\r\nhost: x\r\ntransfer-encoding:{space}chunked\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(b"5\r\nhello\r\n0\r\n\r\n").await.unwrap();
    let response = read_all(&mut stream).await;
    assert_eq!(essence(&response), ["HTTP/1.1 200 OK", "POST /a"]);
    assert_eq!(fixture.served.load(Ordering::SeqCst), 1);
}

#[actix_web::test]
async fn a_client_that_reads_nothing_is_dropped() {
    let fixture = serve();
    let mut stream = fixture.connect().await;
    stream
        .write_all(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    tokio::time::sleep(4 * PATIENCE).await;
    let response = read_all(&mut stream).await;
    assert!(response.starts_with("HTTP/1.1 200 OK"));
    assert!(response.len() < 64 << 20, "it was sent to the end");
}

#[actix_web::test]
async fn a_client_that_sends_nothing_is_dropped() {
    let fixture = serve();
    let mut stream = fixture.connect().await;
    assert_eq!(read_all(&mut stream).await, "");
    assert_eq!(fixture.served.load(Ordering::SeqCst), 0);
}

#[actix_web::test]
async fn at_the_stop_idle_connections_end_at_once_and_running_requests_are_answered() {
    let fixture = serve();
    let mut idle = fixture.connect().await;
    idle.write_all(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    read_until(&mut idle, "GET /a").await;
    let mut busy = fixture.connect().await;
    let pipelined = b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\n";
    busy.write_all(pipelined).await.unwrap();
    while fixture.served.load(Ordering::SeqCst) < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let stopped = async {
        fixture.running.stop().await;
        std::time::Instant::now()
    };
    let ends = async {
        let closed = read_all(&mut idle).await;
        (closed, std::time::Instant::now(), read_all(&mut busy).await)
    };
    let (stopped, (closed, idle_closed, answer)) = tokio::join!(stopped, ends);
    assert_eq!(closed, "");
    assert!(
        idle_closed < stopped,
        "the idle connection held up the stop"
    );
    // What was not begun when the stop began is not begun any more.
    assert_eq!(essence(&answer), ["HTTP/1.1 200 OK", "GET /slow"]);
    assert!(TcpStream::connect(fixture.address).await.is_err());
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    let stream = stream.to_be_bytes();
    [&length[1..], &[kind, flags], &stream, payload].concat()
}

/// A connection of HTTP/2 whose client takes nothing of a body, and its requests' heads: GET, http, `:path` and
/// `:authority`.
async fn http2_without_room(fixture: &Fixture, paths: &[&str]) -> TcpStream {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    // `INITIAL_WINDOW_SIZE` is 0.
    bytes.extend(frame(4, 0, 0, &[0, 4, 0, 0, 0, 0]));
    for (id, path) in (1..).step_by(2).zip(paths) {
        let head = [
            &b"\x82\x86\x04"[..],
            &[path.len() as u8],
            path.as_bytes(),
            b"\x01\x01x",
        ];
        bytes.extend(frame(1, 5, id, &head.concat()));
    }
    let mut stream = fixture.connect().await;
    stream.write_all(&bytes).await.unwrap();
    stream
}

async fn is_cut_off(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    let read = timeout(Duration::from_secs(10), stream.read_to_end(&mut rest));
    let _ = read.await.expect("the server closes the connection");
}

#[actix_web::test]
async fn a_client_of_http2_that_leaves_its_responses_no_room_is_dropped() {
    let fixture = serve();
    let mut stream = http2_without_room(&fixture, &["/a"]).await;
    is_cut_off(&mut stream).await;
    let begin = Instant::now();
    // What waits for something else is not cut off with it, and any room begins the time anew.
    let mut stream = http2_without_room(&fixture, &["/a", "/slow"]).await;
    tokio::time::sleep(PATIENCE + PATIENCE / 2).await;
    let room = frame(8, 0, 1, &[0, 0, 0, 1]);
    stream.write_all(&room).await.unwrap();
    is_cut_off(&mut stream).await;
    assert!(begin.elapsed() >= 2 * PATIENCE + PATIENCE / 2);
}

#[actix_web::test]
async fn a_client_of_http2_is_told_how_many_requests_it_may_have_and_cut_off_beyond() {
    let fixture = serve();
    let mut stream = http2_without_room(&fixture, &["/a"; 100]).await;
    let mut settings = [0; 21];
    stream.read_exact(&mut settings).await.unwrap();
    assert_eq!(settings[..4], [0, 0, 12, 4]);
    assert_eq!(settings[15..], [0, 3, 0, 0, 0, 128]);
    let mut stream = http2_without_room(&fixture, &["/never"; 1000]).await;
    is_cut_off(&mut stream).await;
}

#[actix_web::test]
async fn a_client_that_asks_on_as_the_stop_begins_is_answered_for_the_last_time() {
    let fixture = serve();
    let mut stream = fixture.connect().await;
    let request = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
    stream.write_all(request).await.unwrap();
    read_until(&mut stream, "GET /a").await;
    let asked_on = async {
        stream.write_all(request).await.unwrap();
        read_all(&mut stream).await
    };
    let ((), response) = tokio::join!(fixture.running.stop(), asked_on);
    assert_eq!(essence(&response), ["HTTP/1.1 200 OK", "GET /a"]);
    assert!(response.contains("\r\nconnection: close\r\n"), "{response}");
}

#[actix_web::test]
async fn an_informational_answer_comes_before_the_answer() {
    let fixture = serve();
    let mut stream = fixture.connect().await;
    let requests = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n\
        GET /hint HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    stream.write_all(requests.as_bytes()).await.unwrap();
    let response = read_all(&mut stream).await;
    assert_eq!(
        essence(&response),
        [
            "HTTP/1.1 200 OK",
            "GET /a",
            "HTTP/1.1 103 Early Hints",
            "HTTP/1.1 200 OK",
            "GET /hint"
        ]
    );
}

#[actix_web::test]
async fn a_head_in_single_bytes_is_a_head() {
    let fixture = serve();
    let mut stream = fixture.connect().await;
    for byte in b"PRI /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" {
        stream.write_all(&[*byte]).await.unwrap();
        stream.flush().await.unwrap();
        tokio::task::yield_now().await;
    }
    // The beginning is HTTP/2's, the rest is not.
    assert_eq!(
        essence(&read_all(&mut stream).await),
        ["HTTP/1.1 200 OK", "PRI /x"]
    );
}
