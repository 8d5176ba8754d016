//! The two ends of a TCP connection, spelled out once for all its requests.

use std::net::SocketAddr;

/// IPv4 addresses are spelled as such even where IPv6 maps them.
#[derive(Debug)]
pub struct Addresses {
    pub client: SocketAddr,
    pub client_ip: String,
    pub client_port: String,
    pub own_ip: String,
    pub own_port: String,
}

impl Addresses {
    pub fn new((client, own): (SocketAddr, SocketAddr)) -> Self {
        let ip = |address: SocketAddr| address.ip().to_canonical().to_string();
        Self {
            client,
            client_ip: ip(client),
            client_port: client.port().to_string(),
            own_ip: ip(own),
            own_port: own.port().to_string(),
        }
    }
}
