//! The clients: as many connections as asked for, all on one thread.
//!
//! They go round in a closed loop ([`Load::burst`]: each connection has one request under way), or ask at a fixed
//! rate whatever the server does ([`Load::paced`]).
//!
//! wrk's shortest run is a second; bursts of a tenth of one let servers alternate often enough for the
//! machine's moods to fall on all of them alike.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::event::{PollFd, PollFlags};
use rustix::fd::OwnedFd;
use rustix::time::Timespec;

use crate::connection::{Connection, Exchange};

/// What a burst did.
#[derive(Debug, Clone, Copy)]
pub struct Burst {
    pub requests: u64,
    pub took: Duration,
    /// The longest that an answer took.
    pub slowest: Duration,
}

impl Burst {
    pub fn rate(&self) -> f64 {
        self.requests as f64 / self.took.as_secs_f64()
    }
}

/// A server that answers nothing for this long is stuck.
const PATIENCE: Duration = Duration::from_secs(10);

/// Open connections to one server.
pub struct Load {
    server: SocketAddr,
    epoll: OwnedFd,
    connections: Vec<Connection>,
    /// Every request has a new connection.
    is_renewing: bool,
    /// Requests so far; they take the exchanges in turns.
    asked: usize,
    /// What is read at once, by all connections.
    buffer: Vec<u8>,
}

/// An answer has come.
struct Answered {
    connection: usize,
    at: Instant,
    /// How long after it was due.
    after: Duration,
}

impl Load {
    pub fn connect(server: SocketAddr, connections: usize, is_renewing: bool) -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let connections = (0..connections)
            .map(|index| {
                let connection = Connection::new(server)?;
                watch(&epoll, &connection, index)?;
                Ok(connection)
            })
            .collect::<io::Result<_>>()?;
        Ok(Self {
            server,
            epoll,
            connections,
            is_renewing,
            asked: 0,
            buffer: vec![0; 64 * 1024],
        })
    }

    /// Keeps every connection busy for `length`, then waits for the answers that are due; those count,
    /// and so does the time they take. Fails on the first answer that is wrong.
    pub fn burst(&mut self, exchanges: &[Exchange], length: Duration) -> io::Result<Burst> {
        let begun = Instant::now();
        let mut requests = 0;
        let mut slowest = Duration::ZERO;
        let mut busy = self.connections.len();
        for index in 0..busy {
            self.ask(index, exchanges, begun)?;
        }
        while busy > 0 {
            for event in self.wait(PATIENCE)? {
                let Some(answer) = self.attend(event, exchanges)? else {
                    continue;
                };
                requests += 1;
                slowest = slowest.max(answer.after);
                if answer.at - begun >= length {
                    busy -= 1;
                } else {
                    // At once: the server need not wait until all that has come is read.
                    self.ask(answer.connection, exchanges, answer.at)?;
                }
            }
        }
        Ok(Burst {
            requests,
            took: begun.elapsed(),
            slowest,
        })
    }

    /// Asks `rate` times a second for `length`, evenly; how long each answer took since its request was *due*.
    /// When all connections are busy a request is sent late, and the answer counts as late: a server
    /// that stalls is charged for everybody who would have asked meanwhile.
    pub fn paced(
        &mut self,
        exchanges: &[Exchange],
        rate: f64,
        length: Duration,
    ) -> io::Result<Vec<Duration>> {
        let total = (rate * length.as_secs_f64()) as usize;
        let mut latencies = Vec::with_capacity(total);
        // They take turns, so that none is idle for long.
        let mut idle: VecDeque<usize> = (0..self.connections.len()).collect();
        let mut sent = 0;
        let begun = Instant::now();
        let due = |index: usize| begun + Duration::from_secs_f64(index as f64 / rate);
        while latencies.len() < total {
            let mut timeout = PATIENCE;
            while sent < total {
                let until = due(sent).saturating_duration_since(Instant::now());
                if !until.is_zero() {
                    timeout = until;
                    break;
                }
                let Some(index) = idle.pop_front() else {
                    break;
                };
                self.ask(index, exchanges, due(sent))?;
                sent += 1;
            }
            for event in self.wait(timeout)? {
                if let Some(answer) = self.attend(event, exchanges)? {
                    latencies.push(answer.after);
                    idle.push_back(answer.connection);
                }
            }
        }
        Ok(latencies)
    }

    /// Lets every connection make one request; afterwards all are idle.
    pub fn once(&mut self, exchanges: &[Exchange]) -> io::Result<()> {
        self.burst(exchanges, Duration::ZERO).map(drop)
    }

    fn ask(&mut self, index: usize, exchanges: &[Exchange], due: Instant) -> io::Result<()> {
        self.connections[index].ask(self.asked % exchanges.len(), due);
        self.asked += 1;
        self.send(index, exchanges)
    }

    /// Sends what the socket takes, and watches for room when that was not all.
    fn send(&mut self, index: usize, exchanges: &[Exchange]) -> io::Result<()> {
        let connection = &mut self.connections[index];
        let waited = connection.waits_to_send;
        let is_sent = connection.send(exchanges)?;
        if is_sent == waited {
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

    /// Waits until something has come, or for `timeout`, of which a microsecond counts: epoll's own wait goes by
    /// milliseconds. Fails when the whole of [`PATIENCE`] was in vain.
    fn wait(&self, timeout: Duration) -> io::Result<Vec<Event>> {
        let limit = Timespec::try_from(timeout).map_err(io::Error::other)?;
        let mut poll = [PollFd::new(&self.epoll, PollFlags::IN)];
        let ready = rustix::event::poll(&mut poll, Some(&limit))?;
        if ready == 0 && timeout == PATIENCE {
            return Err(io::Error::other("the server answers no more"));
        }
        let mut events = Vec::with_capacity(256);
        let now = Some(&Timespec::default());
        epoll::wait(&self.epoll, spare_capacity(&mut events), now)?;
        Ok(events)
    }

    /// Does what a connection is ready for; returns the answer that is complete by that.
    fn attend(&mut self, event: Event, exchanges: &[Exchange]) -> io::Result<Option<Answered>> {
        let index = usize::try_from(event.data.u64()).unwrap_or_default();
        let flags = event.flags;
        if flags.contains(EventFlags::OUT) && self.connections[index].waits_to_send {
            self.send(index, exchanges)?;
        }
        if !flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
            return Ok(None);
        }
        let connection = &mut self.connections[index];
        let Some(due) = connection.receive(exchanges, &mut self.buffer)? else {
            return Ok(None);
        };
        let at = Instant::now();
        if self.is_renewing {
            connection.renew(self.server)?;
            watch(&self.epoll, connection, index)?;
        }
        Ok(Some(Answered {
            connection: index,
            at,
            after: at - due,
        }))
    }
}

fn watch(epoll: &OwnedFd, connection: &Connection, index: usize) -> io::Result<()> {
    let data = EventData::new_u64(index as u64);
    epoll::add(epoll, &connection.stream, data, EventFlags::IN)?;
    Ok(())
}
