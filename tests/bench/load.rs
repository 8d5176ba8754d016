//! A closed loop of requests: as many connections as asked for, each with one request under way, all on
//! one thread. Every answer is compared with what it must be, byte by byte.
//!
//! wrk's shortest run is a second; bursts of a tenth of one let servers alternate often enough for the
//! machine's moods to fall on all of them alike.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::fd::OwnedFd;
use rustix::time::Timespec;

/// What is sent, and what must come back.
#[derive(Debug, Clone)]
pub struct Exchange {
    pub request: Vec<u8>,
    pub body: Vec<u8>,
}

/// What a burst did.
#[derive(Debug, Clone, Copy)]
pub struct Burst {
    pub requests: u64,
    pub took: Duration,
}

/// A server that answers nothing for this long is stuck.
const PATIENCE: Duration = Duration::from_secs(10);

/// Open connections to one server.
pub struct Load {
    epoll: OwnedFd,
    connections: Vec<Connection>,
}

struct Connection {
    stream: TcpStream,
    /// Of the request, so far.
    sent: usize,
    is_busy: bool,
    waits_to_send: bool,
    answer: Vec<u8>,
}

impl Load {
    pub fn connect(server: SocketAddr, connections: usize) -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let connections = (0..connections)
            .map(|index| {
                let stream = TcpStream::connect(server)?;
                stream.set_nodelay(true)?;
                stream.set_nonblocking(true)?;
                epoll::add(
                    &epoll,
                    &stream,
                    EventData::new_u64(index as u64),
                    EventFlags::IN,
                )?;
                Ok(Connection {
                    stream,
                    sent: 0,
                    is_busy: false,
                    waits_to_send: false,
                    answer: Vec::with_capacity(128 * 1024),
                })
            })
            .collect::<io::Result<_>>()?;
        Ok(Self { epoll, connections })
    }

    /// Keeps every connection busy for `length`, then waits for the answers that are due; those count,
    /// and so does the time they take. Fails on the first answer that is wrong.
    pub fn burst(&mut self, exchange: &Exchange, length: Duration) -> io::Result<Burst> {
        let begun = Instant::now();
        let mut requests = 0;
        let mut busy = self.connections.len();
        for index in 0..self.connections.len() {
            self.connections[index].is_busy = true;
            self.send(index, exchange)?;
        }
        let mut events: Vec<Event> = Vec::with_capacity(256);
        while busy > 0 {
            events.clear();
            let patience = Timespec::try_from(PATIENCE).map_err(io::Error::other)?;
            epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&patience))?;
            if events.is_empty() {
                return Err(io::Error::other("the server answers no more"));
            }
            let is_over = begun.elapsed() >= length;
            for event in &events {
                let index = usize::try_from(event.data.u64()).unwrap_or_default();
                let flags = event.flags;
                if flags.contains(EventFlags::OUT) && self.connections[index].waits_to_send {
                    self.send(index, exchange)?;
                }
                if !flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
                    continue;
                }
                if !self.connections[index].receive(exchange)? {
                    continue;
                }
                requests += 1;
                if is_over {
                    self.connections[index].is_busy = false;
                    busy -= 1;
                } else {
                    self.send(index, exchange)?;
                }
            }
        }
        let took = begun.elapsed();
        Ok(Burst { requests, took })
    }

    fn send(&mut self, index: usize, exchange: &Exchange) -> io::Result<()> {
        let connection = &mut self.connections[index];
        let is_sent = connection.send(&exchange.request)?;
        if is_sent == connection.waits_to_send {
            connection.waits_to_send = !is_sent;
            let flags = match is_sent {
                true => EventFlags::IN,
                false => EventFlags::IN | EventFlags::OUT,
            };
            let data = EventData::new_u64(index as u64);
            epoll::modify(&self.epoll, &connection.stream, data, flags)?;
        }
        Ok(())
    }
}

impl Connection {
    /// True when all of the request is on its way.
    fn send(&mut self, request: &[u8]) -> io::Result<bool> {
        while self.sent < request.len() {
            match self.stream.write(&request[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        self.sent = 0;
        Ok(true)
    }

    /// True when an answer is complete, and right.
    fn receive(&mut self, exchange: &Exchange) -> io::Result<bool> {
        let mut buffer = [0; 64 * 1024];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(io::Error::other("the server closed a connection")),
                Ok(count) => self.answer.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
            if !self.is_busy {
                return Err(io::Error::other("the server sent more than an answer"));
            }
            match check(&self.answer, &exchange.body) {
                Checked::Incomplete => {}
                Checked::Right => {
                    self.answer.clear();
                    return Ok(true);
                }
                Checked::Wrong => {
                    let answer = String::from_utf8_lossy(&self.answer);
                    let answer: String = answer.chars().take(500).collect();
                    return Err(io::Error::other(format!("a wrong answer: {answer}")));
                }
            }
        }
    }
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

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
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
