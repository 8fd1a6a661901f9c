//! Addresses of peers, and this machine's own.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use b4ae_core::{PeerId, PeerUri};

use crate::error::Error;

/// The longest host name, as text (RFC 1035, section 2.3.4).
const MAX_HOST: usize = 253;

/// The address people type.
pub(crate) fn parse(text: &str) -> Result<PeerUri, Error> {
    text.parse().map_err(|source| Error::Address { text: text.into(), source })
}

/// The address of `peer` at `host`, which is checked.
pub(crate) fn uri(host: &str, port: u16, peer: PeerId) -> Result<PeerUri, Error> {
    let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    if host.len() > MAX_HOST {
        return Err(Error::Usage(format!("--host is longer than a host name can be ({MAX_HOST} bytes)")));
    }
    let uri = PeerUri { host: host.into(), port, peer };
    match uri.to_string().parse() {
        Ok(parsed) if uri == parsed => Ok(uri),
        _ => Err(Error::Usage(format!("{host:?} is not a host name or address"))),
    }
}

/// The address this machine uses towards the rest of the world, or the loopback address if it has none. Nothing is
/// sent: connecting a UDP socket only looks up the route.
pub(crate) fn outward() -> String {
    // 192.0.2.1 is reserved for documentation (RFC 5737); any public address would do.
    let route = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).and_then(|socket| {
        socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9))?;
        socket.local_addr()
    });
    route.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |local| local.ip()).to_string()
}

/// What others put in front of the port to reach `listen`, as far as this machine can tell.
pub(crate) fn host_of(listen: SocketAddr) -> String {
    if listen.ip().is_unspecified() { outward() } else { listen.ip().to_string() }
}
