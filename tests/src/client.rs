//! A connection that speaks plain HTTP/1.1, as well or as badly as a test wants.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use crate::LIMIT;
use crate::request::Request;
use crate::response::Response;

/// Where a server listens.
#[derive(Debug, Clone)]
pub enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl Address {
    /// What `Host` says of it.
    pub fn host(&self) -> String {
        match self {
            Self::Tcp(address) => address.to_string(),
            Self::Unix(_) => "localhost".to_owned(),
        }
    }
}

enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Read for Socket {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.read(bytes),
            Self::Unix(socket) => socket.read(bytes),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.write(bytes),
            Self::Unix(socket) => socket.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// See the module. Reads wait at most [`LIMIT`].
pub struct Client {
    socket: BufReader<Socket>,
    host: String,
    /// Whether each response that is due answers a HEAD, and so has no body.
    due: VecDeque<bool>,
}

impl Client {
    #[track_caller]
    pub fn connect(address: &Address) -> Self {
        Self::try_connect(address).expect("the server accepts connections")
    }

    pub fn try_connect(address: &Address) -> io::Result<Self> {
        let socket = match address {
            Address::Tcp(address) => {
                let socket = TcpStream::connect(address)?;
                socket.set_nodelay(true)?;
                socket.set_read_timeout(Some(LIMIT))?;
                socket.set_write_timeout(Some(LIMIT))?;
                Socket::Tcp(socket)
            }
            Address::Unix(path) => {
                let socket = UnixStream::connect(path)?;
                socket.set_read_timeout(Some(LIMIT))?;
                socket.set_write_timeout(Some(LIMIT))?;
                Socket::Unix(socket)
            }
        };
        Ok(Self {
            socket: BufReader::new(socket),
            host: address.host(),
            due: VecDeque::new(),
        })
    }

    /// Sends a request and reads its response.
    #[track_caller]
    pub fn request(&mut self, request: &Request) -> Response {
        self.send(request);
        self.response()
    }

    #[track_caller]
    pub fn send(&mut self, request: &Request) {
        self.due.push_back(request.method == "HEAD");
        self.write(request.to_bytes(&self.host));
    }

    /// Writes bytes as they are.
    #[track_caller]
    pub fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_write(bytes).expect("the server reads");
    }

    pub fn try_write(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.socket.get_mut().write_all(bytes.as_ref())
    }

    /// Says that nothing more will be sent, and goes on reading.
    pub fn end_of_requests(&self) {
        let shut = match self.socket.get_ref() {
            Socket::Tcp(socket) => socket.shutdown(std::net::Shutdown::Write),
            Socket::Unix(socket) => socket.shutdown(std::net::Shutdown::Write),
        };
        shut.expect("the connection stands");
    }

    /// The next response, whole.
    #[track_caller]
    pub fn response(&mut self) -> Response {
        self.try_response().expect("a complete response")
    }

    pub fn try_response(&mut self) -> io::Result<Response> {
        let mut informational = Vec::new();
        let mut response = loop {
            let head = self.try_head()?;
            if !head.is_informational() {
                break head;
            }
            informational.push(head);
        };
        response.informational = informational;
        self.body(&mut response)?;
        Ok(response)
    }

    /// The head of the next response, 1xx or not; the body is left to be read.
    #[track_caller]
    pub fn head(&mut self) -> Response {
        self.try_head().expect("the head of a response")
    }

    pub fn try_head(&mut self) -> io::Result<Response> {
        let status_line = self.line()?;
        let mut words = status_line.splitn(3, ' ');
        let mut word = || words.next().unwrap_or_default().to_owned();
        let mut response = Response {
            version: word(),
            status: word().parse().map_err(|_| malformed(&status_line))?,
            reason: word(),
            ..Response::default()
        };
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok(response);
            }
            let (name, value) = line.split_once(':').ok_or_else(|| malformed(&line))?;
            response
                .headers
                .push((name.to_owned(), value.trim().to_owned()));
        }
    }

    fn body(&mut self, response: &mut Response) -> io::Result<()> {
        let answers_head = self.due.pop_front().unwrap_or(false);
        if answers_head || matches!(response.status, 204 | 304) {
            return Ok(());
        }
        if response.header("transfer-encoding") == Some("chunked") {
            while let Some(chunk) = self.try_chunk()? {
                response.body.extend_from_slice(&chunk);
            }
            return Ok(());
        }
        match response.header("content-length") {
            Some(length) => {
                let length = length.parse().map_err(|_| malformed(length))?;
                response.body.resize(length, 0);
                self.socket.read_exact(&mut response.body)
            }
            None => self.socket.read_to_end(&mut response.body).map(|_| ()),
        }
    }

    /// The next chunk of a chunked body; `None` is its end.
    #[track_caller]
    pub fn chunk(&mut self) -> Option<Vec<u8>> {
        self.try_chunk().expect("a chunk")
    }

    pub fn try_chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        let line = self.line()?;
        let length = usize::from_str_radix(&line, 16).map_err(|_| malformed(&line))?;
        let mut chunk = vec![0; length];
        self.socket.read_exact(&mut chunk)?;
        match self.line()?.is_empty() {
            true => Ok((length > 0).then_some(chunk)),
            false => Err(malformed("a chunk that is longer than it says")),
        }
    }

    /// Reads so many bytes, whatever they mean.
    #[track_caller]
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        let read = self.socket.read_exact(&mut bytes);
        read.expect("as many bytes");
        bytes
    }

    /// Waits for the server to close the connection; what it still sends is returned.
    #[track_caller]
    pub fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        match self.socket.read_to_end(&mut rest) {
            Ok(_) => rest,
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => rest,
            Err(error) => panic!("the connection stays open: {error}"),
        }
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        self.socket.read_until(b'\n', &mut line)?;
        match line.strip_suffix(b"\r\n") {
            Some(line) => Ok(String::from_utf8_lossy(line).into_owned()),
            None if line.is_empty() => Err(io::ErrorKind::UnexpectedEof.into()),
            None => Err(malformed(&String::from_utf8_lossy(&line))),
        }
    }
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("malformed: {what:?}"))
}
