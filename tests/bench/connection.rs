//! One connection to a server, which asks one thing at a time. Every answer is compared with what it must
//! be, byte by byte.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use troupe_tests::find;

/// What is sent, and what must come back.
#[derive(Debug, Clone)]
pub struct Exchange {
    pub request: Vec<u8>,
    pub body: Vec<u8>,
}

pub struct Connection {
    pub stream: TcpStream,
    /// What is asked at present, if anything: an index into the exchanges.
    asks: Option<usize>,
    /// Since when its answer is due.
    due: Instant,
    /// Of the request, so far.
    sent: usize,
    /// The socket is full; its owner waits for room.
    pub waits_to_send: bool,
    answer: Vec<u8>,
}

impl Connection {
    pub fn new(server: SocketAddr) -> io::Result<Self> {
        Ok(Self {
            stream: connect(server)?,
            asks: None,
            due: Instant::now(),
            sent: 0,
            waits_to_send: false,
            answer: Vec::new(),
        })
    }

    /// Goes on with a new connection. The old one is reset: it leaves no port in TIME_WAIT, of which a
    /// machine runs out.
    pub fn renew(&mut self, server: SocketAddr) -> io::Result<()> {
        rustix::net::sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO))?;
        self.stream = connect(server)?;
        self.waits_to_send = false;
        Ok(())
    }

    pub fn ask(&mut self, exchange: usize, due: Instant) {
        self.asks = Some(exchange);
        self.due = due;
        self.sent = 0;
    }

    /// True when all of the request is on its way.
    pub fn send(&mut self, exchanges: &[Exchange]) -> io::Result<bool> {
        let Some(exchange) = self.asks.and_then(|asks| exchanges.get(asks)) else {
            return Ok(true);
        };
        while self.sent < exchange.request.len() {
            match self.stream.write(&exchange.request[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// When the answer was due, once it is complete, and right; nothing as long as it is incomplete. `buffer` is
    /// what is read at once.
    pub fn receive(
        &mut self,
        exchanges: &[Exchange],
        buffer: &mut [u8],
    ) -> io::Result<Option<Instant>> {
        loop {
            let read = match self.stream.read(buffer) {
                Ok(0) => return Err(io::Error::other("the server closed a connection")),
                Ok(count) => &buffer[..count],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error),
            };
            let Some(exchange) = self.asks.and_then(|asks| exchanges.get(asks)) else {
                return Err(io::Error::other("the server sent more than an answer"));
            };
            // Most answers come whole, and are looked at where they are.
            let answer = match self.answer.is_empty() {
                true => read,
                false => {
                    self.answer.extend_from_slice(read);
                    &self.answer
                }
            };
            match check(answer, &exchange.body) {
                Checked::Incomplete if self.answer.is_empty() => {
                    self.answer.extend_from_slice(read)
                }
                Checked::Incomplete => {}
                Checked::Right => {
                    self.answer.clear();
                    self.asks = None;
                    return Ok(Some(self.due));
                }
                Checked::Wrong => {
                    let answer = String::from_utf8_lossy(answer);
                    let answer: String = answer.chars().take(500).collect();
                    return Err(io::Error::other(format!("a wrong answer: {answer}")));
                }
            }
        }
    }
}

fn connect(server: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(server)?;
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    Ok(stream)
}

#[derive(Debug, PartialEq, Eq)]
enum Checked {
    Incomplete,
    Right,
    Wrong,
}

fn check(answer: &[u8], expected: &[u8]) -> Checked {
    let Some(end) = find(answer, b"\r\n\r\n") else {
        return Checked::Incomplete;
    };
    let (head, rest) = (&answer[..end + 2], &answer[end + 4..]);
    if !head.starts_with(b"HTTP/1.1 200 ") {
        return Checked::Wrong;
    }
    let is_chunked = header(head, b"transfer-encoding:").is_some();
    if is_chunked {
        return check_chunks(rest, expected);
    }
    let length = header(head, b"content-length:")
        .and_then(|value| std::str::from_utf8(value.trim_ascii()).ok()?.parse().ok());
    match length {
        Some(length) if rest.len() < length => Checked::Incomplete,
        Some(length) if rest.len() == length && rest == expected => Checked::Right,
        _ => Checked::Wrong,
    }
}

fn check_chunks(mut rest: &[u8], mut expected: &[u8]) -> Checked {
    loop {
        let Some(end) = find(rest, b"\r\n") else {
            return Checked::Incomplete;
        };
        let size = std::str::from_utf8(&rest[..end]).ok();
        let Some(size) = size.and_then(|size| usize::from_str_radix(size, 16).ok()) else {
            return Checked::Wrong;
        };
        rest = &rest[end + 2..];
        if rest.len() < size + 2 {
            return Checked::Incomplete;
        }
        let Some(after) = expected.strip_prefix(&rest[..size]) else {
            return Checked::Wrong;
        };
        expected = after;
        rest = &rest[size + 2..];
        if size == 0 {
            return match expected.is_empty() && rest.is_empty() {
                true => Checked::Right,
                false => Checked::Wrong,
            };
        }
    }
}

/// The value of a header; `name` is in lower case and ends with a colon.
fn header<'a>(head: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    head.split(|byte| *byte == b'\n').find_map(|line| {
        let (start, value) = line.split_at_checked(name.len())?;
        start.eq_ignore_ascii_case(name).then_some(value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_right_only_when_all_of_it_is() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        assert_eq!(check(answer, b"ok"), Checked::Right);
        assert_eq!(check(answer, b"no"), Checked::Wrong);
        assert_eq!(
            check(&answer[..answer.len() - 1], b"ok"),
            Checked::Incomplete
        );
        let failed = b"HTTP/1.1 500 X\r\nContent-Length: 2\r\n\r\nok";
        assert_eq!(check(failed, b"ok"), Checked::Wrong);
    }

    #[test]
    fn chunks_are_compared_across_their_borders() {
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        let answer = format!("{head}1\r\no\r\na\r\nk123456789\r\n0\r\n\r\n");
        assert_eq!(check(answer.as_bytes(), b"ok123456789"), Checked::Right);
        assert_eq!(check(answer.as_bytes(), b"ok12345678"), Checked::Wrong);
        let cut = &answer.as_bytes()[..answer.len() - 2];
        assert_eq!(check(cut, b"ok123456789"), Checked::Incomplete);
    }
}
