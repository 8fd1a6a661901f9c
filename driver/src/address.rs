//! From a host name to addresses the socket can reach.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

use crate::ConnectError;

/// Addresses of one host tried at most.
const MOST: usize = 8;

/// The address a host is, when it is one and not a name.
pub fn literal(host: &str, port: u16) -> Option<SocketAddr> {
    host.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, port))
}

/// Resolves `host` with the system's resolver, on the calling thread.
pub fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    match literal(host, port) {
        Some(addr) => Ok(vec![addr]),
        None => Ok((host, port).to_socket_addrs()?.collect()),
    }
}

/// Which of `found`, the addresses of `host`, a socket bound to `local` can send to, in the resolver's order.
pub fn reachable(
    host: &str,
    found: impl IntoIterator<Item = SocketAddr>,
    local: SocketAddr,
) -> Result<Vec<SocketAddr>, ConnectError> {
    let mut usable: Vec<SocketAddr> = Vec::new();
    let mut any = false;
    for addr in found {
        any = true;
        // An IPv4 socket speaks IPv4 alone, and so does, the other way round, an IPv6 socket bound to one address.
        let fits = match (local.ip(), addr.ip()) {
            (IpAddr::V4(_), ip) => ip.to_canonical().is_ipv4(),
            (IpAddr::V6(bound), ip) => bound.is_unspecified() || ip.is_ipv6(),
        };
        if fits && !usable.contains(&addr) && usable.len() < MOST {
            usable.push(addr);
        }
    }
    if usable.is_empty() {
        let why = if any {
            format!("none of its addresses is of the family of {local}, the address listened on")
        } else {
            String::from("it has no address")
        };
        return Err(ConnectError::Resolve(host.to_owned(), io::Error::new(io::ErrorKind::NotFound, why)));
    }
    Ok(usable)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn an_address_needs_no_resolver() {
        assert_eq!(resolve("::1", 7).expect("literal"), [addr("[::1]:7")]);
        assert_eq!(literal("example.org", 7), None);
    }

    #[test]
    fn only_addresses_of_the_sockets_family_are_tried_each_once() {
        let both = [addr("[2001:db8::1]:7"), addr("192.0.2.1:7"), addr("192.0.2.1:7")];
        assert_eq!(reachable("h", both, addr("0.0.0.0:1")).expect("IPv4"), [both[1]]);
        assert_eq!(reachable("h", both, addr("[::1]:1")).expect("IPv6"), [both[0]]);
        assert_eq!(reachable("h", both, addr("[::]:1")).expect("both"), both[..2]);
        let error = reachable("h", [both[0]], addr("0.0.0.0:1")).expect_err("wrong family").to_string();
        assert!(error.contains("0.0.0.0:1") && error.contains("\"h\""), "{error}");
    }
}
