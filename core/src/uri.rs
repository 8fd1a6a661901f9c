//! `b4ae://host:port#fingerprint`: what people exchange to reach each other.

use alloc::string::String;
use core::fmt;
use core::str::FromStr;

use crate::error::ParseError;
use crate::identity::PeerId;

/// A peer's address: where it listens and who it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PeerUri {
    /// A host name or IP address, without brackets.
    pub host: String,
    /// The UDP port.
    pub port: u16,
    /// The fingerprint.
    pub peer: PeerId,
}

impl fmt::Display for PeerUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "b4ae://[{}]:{}#{}", self.host, self.port, self.peer)
        } else {
            write!(f, "b4ae://{}:{}#{}", self.host, self.port, self.peer)
        }
    }
}

impl FromStr for PeerUri {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let rest = text.trim().strip_prefix("b4ae://").ok_or(ParseError::Scheme)?;
        let (authority, fingerprint) = rest.split_once('#').ok_or(ParseError::NoFingerprint)?;
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let (host, port) = authority.rsplit_once(':').ok_or(ParseError::Port)?;
        let host = match host.strip_prefix('[') {
            Some(v6) => v6.strip_suffix(']').ok_or(ParseError::Host)?,
            None if host.contains(':') => return Err(ParseError::Host),
            None => host,
        };
        if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c.is_control() || "/@[]?".contains(c)) {
            return Err(ParseError::Host);
        }
        let port = match port.parse() {
            Ok(0) | Err(_) => return Err(ParseError::Port),
            Ok(port) => port,
        };
        Ok(Self { host: host.into(), port, peer: fingerprint.parse()? })
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::ToString as _;

    use super::*;

    fn peer() -> PeerId {
        PeerId::from_bytes([1; 32])
    }

    #[test]
    fn an_address_reads_as_it_was_written() {
        for host in ["example.org", "192.0.2.1", "2001:db8::1", "fe80::1%eth0"] {
            let uri = PeerUri { host: host.into(), port: 7000, peer: peer() };
            assert_eq!(uri.to_string().parse(), Ok(uri));
        }
        let loose: PeerUri = format!("  b4ae://example.org:7000/#{}\n", peer()).parse().unwrap();
        assert_eq!((loose.host.as_str(), loose.port), ("example.org", 7000));
    }

    #[test]
    fn every_mistake_has_its_name() {
        let id = peer().to_string();
        let mut swapped = id.clone();
        swapped.replace_range(..1, if id.starts_with('a') { "b" } else { "a" });
        let table = [
            (format!("http://h:1#{id}"), ParseError::Scheme),
            (format!("h:1#{id}"), ParseError::Scheme),
            ("b4ae://h:1".into(), ParseError::NoFingerprint),
            (format!("b4ae://h#{id}"), ParseError::Port),
            (format!("b4ae://h:#{id}"), ParseError::Port),
            (format!("b4ae://h:0#{id}"), ParseError::Port),
            (format!("b4ae://h:65536#{id}"), ParseError::Port),
            (format!("b4ae://h:-1#{id}"), ParseError::Port),
            (format!("b4ae://:1#{id}"), ParseError::Host),
            (format!("b4ae://[]:1#{id}"), ParseError::Host),
            (format!("b4ae://[::1:1#{id}"), ParseError::Host),
            (format!("b4ae://::1:1#{id}"), ParseError::Host),
            (format!("b4ae://me@h:1#{id}"), ParseError::Host),
            (format!("b4ae://h/x:1#{id}"), ParseError::Host),
            (format!("b4ae://h h:1#{id}"), ParseError::Host),
            ("b4ae://h:1#".into(), ParseError::Fingerprint),
            (format!("b4ae://h:1#{id}#"), ParseError::Fingerprint),
            (format!("b4ae://h:1#{swapped}"), ParseError::Checksum),
        ];
        for (text, error) in table {
            assert_eq!(text.parse::<PeerUri>(), Err(error), "{text}");
        }
    }
}
