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
