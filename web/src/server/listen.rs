//! Sockets to listen on, bound before anything else starts, so that a taken port is found at once.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use socket2::{Domain, Protocol, Socket, Type};

use crate::config::{Listen, Server};

/// Connections that the kernel keeps until they are accepted.
const BACKLOG: i32 = 4096;

/// A bound socket.
#[derive(Debug)]
pub enum Listener {
    Plain(TcpListener),
    Tls(TcpListener),
    Unix(UnixListener, PathBuf),
}

/// Why an address can't be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {listen}: {source}")]
pub struct BindError {
    listen: Listen,
    source: io::Error,
}

impl Listener {
    /// Binds all that the server listens on.
    pub fn bind_all(server: &Server) -> Result<Vec<Self>, BindError> {
        let bind = |listen| Self::bind(listen, server.reuse_port);
        server.listen.iter().map(bind).collect()
    }

    /// Binds `listen`; with `shared`, other processes may bind it as well (SO_REUSEPORT) and the
    /// kernel shares connections out between them.
    pub fn bind(listen: &Listen, shared: bool) -> Result<Self, BindError> {
        let bound = match listen {
            Listen::Plain(address) => tcp(*address, shared).map(Self::Plain),
            Listen::Tls(address) => tcp(*address, shared).map(Self::Tls),
            Listen::Unix(path) => unix(path).map(|socket| Self::Unix(socket, path.clone())),
        };
        bound.map_err(|source| BindError {
            listen: listen.clone(),
            source,
        })
    }

    /// The address as a URL, with the port that was chosen when 0 was asked for.
    pub fn url(&self) -> String {
        let shown = |socket: &TcpListener, scheme: &str| match socket.local_addr() {
            Ok(address) => format!("{scheme}://{address}"),
            Err(error) => format!("{scheme}://? ({error})"),
        };
        match self {
            Self::Plain(socket) => shown(socket, "http"),
            Self::Tls(socket) => shown(socket, "https"),
            Self::Unix(_, path) => format!("unix:{}", path.display()),
        }
    }
}

fn tcp(address: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    // A restart must not wait for the kernel to forget the connections of the last run.
    socket.set_reuse_address(true)?;
    if shared {
        socket.set_reuse_port(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn unix(path: &Path) -> io::Result<UnixListener> {
    // A socket file outlives a server that was killed; one that nobody answers at is rubbish.
    if let Ok(metadata) = path.symlink_metadata()
        && metadata.file_type().is_socket()
        && UnixStream::connect(path).is_err()
    {
        std::fs::remove_file(path)?;
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
    socket.bind(&socket2::SockAddr::unix(path)?)?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::value::Kind;

    fn bind(text: &str) -> Result<Listener, BindError> {
        Listener::bind(&Listen::from_text(text).unwrap(), false)
    }

    #[test]
    fn a_taken_port_is_an_error_that_names_the_address() {
        let first = bind("127.0.0.1:0").unwrap();
        let url = first.url();
        let taken = bind(url.trim_start_matches("http://")).unwrap_err();
        let message = taken.to_string();
        assert!(
            message.starts_with(&format!("cannot listen on {url}: ")),
            "{message}"
        );
    }

    #[test]
    fn a_port_can_be_shared_when_both_say_so() {
        let share = |text: &str| Listener::bind(&Listen::from_text(text).unwrap(), true);
        let first = share("127.0.0.1:0").unwrap();
        assert!(share(first.url().trim_start_matches("http://")).is_ok());
    }

    #[test]
    fn a_dead_socket_file_is_replaced_and_a_living_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.sock");
        let address = format!("unix:{}", path.display());
        let living = bind(&address).unwrap();
        assert!(bind(&address).is_err());
        drop(living);
        assert!(path.exists());
        assert!(bind(&address).is_ok());
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "not a socket").unwrap();
        assert!(bind(&address).is_err());
        assert!(path.exists());
    }
}
