//! Addresses to listen on, as they are written.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use toml::Spanned;
use toml::de::DeValue;

use super::value::{Kind, Mistake, read_string};

/// An address to listen on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Listen {
    /// `ADDR:PORT`: HTTP/1.1, and HTTP/2 by prior knowledge.
    Plain(SocketAddr),
    /// `tls:ADDR:PORT`: the same inside TLS, HTTP/2 by ALPN.
    Tls(SocketAddr),
    /// `unix:PATH`: a unix socket, served as `Plain` is.
    Unix(PathBuf),
}

impl Listen {
    /// The address, when it is one of the network.
    pub fn socket(&self) -> Option<SocketAddr> {
        match self {
            Self::Plain(address) | Self::Tls(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }

    /// Whether only programs on this machine can connect.
    pub fn is_local(&self) -> bool {
        self.socket()
            .is_none_or(|address| address.ip().is_loopback())
    }
}

impl std::fmt::Display for Listen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Plain(address) => write!(f, "http://{address}"),
            Self::Tls(address) => write!(f, "https://{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Kind for Listen {
    const EXPECTED: &'static str = "an address such as \"127.0.0.1:8080\", \":8080\", \"tls::443\" or \"unix:/run/troupe.sock\"";

    fn read(value: &Spanned<DeValue<'_>>, mistakes: &mut Vec<Mistake>) -> Option<Self> {
        read_string(value, mistakes)
    }

    fn from_text(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return PathBuf::from_text(path).map(Self::Unix);
        }
        let (address, listen): (_, fn(SocketAddr) -> Self) = match text.strip_prefix("tls:") {
            Some(address) => (address, Self::Tls),
            None => (text, Self::Plain),
        };
        socket_address(address)
            .map(listen)
            .ok_or_else(|| format!("expected {}, found \"{text}\"", Self::EXPECTED))
    }
}

/// `127.0.0.1:80`, `[::1]:80`, `localhost:80`, or `:80` for every IPv4 address of the machine. Other host
/// names are refused: which address they mean would depend on the moment of the start.
fn socket_address(text: &str) -> Option<SocketAddr> {
    if let Ok(address) = SocketAddr::from_str(text) {
        return Some(address);
    }
    let (host, port) = text.rsplit_once(':')?;
    let ip: IpAddr = match host {
        "" => "0.0.0.0".parse().ok()?,
        "localhost" => "127.0.0.1".parse().ok()?,
        _ => return None,
    };
    Some(SocketAddr::new(ip, port.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listen_addresses_of_every_shape() {
        let plain = |text: &str| Listen::Plain(text.parse().unwrap());
        assert_eq!(Listen::from_text(":80"), Ok(plain("0.0.0.0:80")));
        assert_eq!(Listen::from_text("[::1]:80"), Ok(plain("[::1]:80")));
        assert_eq!(Listen::from_text("localhost:80"), Ok(plain("127.0.0.1:80")));
        assert_eq!(
            Listen::from_text("tls::443"),
            Ok(Listen::Tls("0.0.0.0:443".parse().unwrap()))
        );
        assert_eq!(
            Listen::from_text("unix:/run/t.sock"),
            Ok(Listen::Unix("/run/t.sock".into()))
        );
        for wrong in ["80", "example.org:80", ":80000", "unix:", ""] {
            assert!(Listen::from_text(wrong).is_err(), "{wrong}");
        }
    }
}
