//! `troupe tree`, `restart` and `backtrace`: a small client of a running server's admin endpoint.

use std::io::{self, IsTerminal, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::cli::AdminAddress;
use crate::config::Listen;
use crate::config::value::Kind;

/// Between two looks of `troupe tree --watch`.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Why the server did not do it.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("--admin: {0}")]
    Address(String),
    #[error("there is no server at {address} (its admin endpoint: --admin ADDR): {source}")]
    Unreachable { address: String, source: io::Error },
    #[error("{address} broke off: {source}")]
    Broken { address: String, source: io::Error },
    #[error("{0}")]
    Refused(String),
}

/// A running server.
pub struct Client<'a> {
    address: &'a AdminAddress,
    listen: Listen,
}

impl<'a> Client<'a> {
    pub fn new(address: &'a AdminAddress) -> Result<Self, ClientError> {
        let listen = Listen::from_text(&address.admin).map_err(ClientError::Address)?;
        Ok(Self { address, listen })
    }

    /// Draws the tree; with `watch`, again and again.
    pub fn tree(&self, watch: bool) -> Result<(), ClientError> {
        let is_terminal = io::stdout().is_terminal();
        loop {
            let picture = self.ask("GET", "/tree?format=text")?;
            match watch && is_terminal {
                // From the top left corner, over what was there.
                true => show(&format!("\x1b[H\x1b[2J{picture}")),
                false => show(&picture),
            }
            if !watch {
                return Ok(());
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// Restarts a node, and returns when it is up again.
    pub fn restart(&self, node: &str) -> Result<(), ClientError> {
        self.ask("POST", &format!("/nodes/{node}/restart"))
            .map(drop)
    }

    /// Cancels a task.
    pub fn cancel(&self, node: &str) -> Result<(), ClientError> {
        self.ask("POST", &format!("/nodes/{node}/cancel")).map(drop)
    }

    /// Shows what a worker runs.
    pub fn backtrace(&self, node: &str) -> Result<(), ClientError> {
        show(&self.ask("GET", &format!("/nodes/{node}/backtrace"))?);
        Ok(())
    }

    /// HTTP/1.0: the answer ends with the connection, however long it takes.
    fn ask(&self, method: &str, target: &str) -> Result<String, ClientError> {
        let address = || self.address.admin.clone();
        let mut stream = self.connect().map_err(|source| ClientError::Unreachable {
            address: address(),
            source,
        })?;
        let token = match &self.address.token {
            Some(token) => format!("Authorization: Bearer {token}\r\n"),
            None => String::new(),
        };
        let request = format!("{method} {target} HTTP/1.0\r\nContent-Length: 0\r\n{token}\r\n");
        let mut response = Vec::new();
        stream
            .write_all(request.as_bytes())
            .and_then(|()| stream.read_to_end(&mut response))
            .map_err(|source| ClientError::Broken {
                address: address(),
                source,
            })?;
        let response = String::from_utf8_lossy(&response).into_owned();
        let (head, body) = response.split_once("\r\n\r\n").unwrap_or((&response, ""));
        match head.split(' ').nth(1) {
            Some("200") => Ok(body.to_owned()),
            Some(_) => Err(ClientError::Refused(body.trim().to_owned())),
            None => Err(ClientError::Broken {
                address: address(),
                source: io::ErrorKind::UnexpectedEof.into(),
            }),
        }
    }

    fn connect(&self) -> io::Result<Box<dyn Stream>> {
        Ok(match &self.listen {
            Listen::Unix(path) => Box::new(UnixStream::connect(path)?),
            Listen::Plain(address) | Listen::Tls(address) => {
                let mut address = *address;
                if address.ip().is_unspecified() {
                    // Where a server listens on every address, this is one of them.
                    address.set_ip([127, 0, 0, 1].into());
                }
                Box::new(TcpStream::connect(address)?)
            }
        })
    }
}

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

/// Whoever reads our output may stop doing so (`troupe tree | head`).
pub fn show(text: &str) {
    let _ = writeln!(io::stdout(), "{}", text.trim_end());
}
