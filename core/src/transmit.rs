//! Datagrams leaving the engine, and the caller's memory they are written to.

use core::net::{IpAddr, SocketAddr};

use crate::time::Instant;

/// Length in bytes of every datagram the protocol sends or accepts, the handshake included.
pub const DATAGRAM_LEN: usize = 1200;

/// Where a datagram goes or came from.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Path {
    remote: SocketAddr,
    local: Option<IpAddr>,
}

impl Path {
    /// The path between `local` (`None` for whatever the system picks) and `remote`.
    ///
    /// Flow labels are dropped and mapped addresses unmapped, so that equal paths compare equal.
    pub fn new(remote: SocketAddr, local: Option<IpAddr>) -> Self {
        let given = remote;
        let mut remote = SocketAddr::new(given.ip().to_canonical(), given.port());
        if let (SocketAddr::V6(to), SocketAddr::V6(from)) = (&mut remote, given) {
            // The scope stays: a link-local address means nothing without it.
            to.set_scope_id(from.scope_id());
        }
        Self { remote, local: local.map(|ip| ip.to_canonical()) }
    }

    /// The peer's address.
    pub fn remote(&self) -> SocketAddr {
        self.remote
    }

    /// The local address, when known.
    pub fn local(&self) -> Option<IpAddr> {
        self.local
    }
}

/// Caller memory with room for at least one datagram.
#[derive(Debug)]
pub struct TxBuf<'b>(&'b mut [u8]);

impl<'b> TxBuf<'b> {
    /// Checks `memory` once, so that no later call can fail for want of space.
    pub fn new(memory: &'b mut [u8]) -> Result<Self, crate::error::BufferTooSmall> {
        if memory.len() < DATAGRAM_LEN {
            return Err(crate::error::BufferTooSmall { needed: DATAGRAM_LEN });
        }
        Ok(Self(memory))
    }

    /// The same memory for the next call.
    pub fn reborrow(&mut self) -> TxBuf<'_> {
        TxBuf(self.0)
    }

    /// What has been written.
    pub fn as_slice(&self) -> &[u8] {
        self.0
    }

    pub(crate) fn datagram(self) -> &'b mut [u8; DATAGRAM_LEN] {
        self.0.first_chunk_mut().expect("TxBuf::new checked the length")
    }
}

/// One datagram to send: the first `len` bytes of the buffer passed to
/// [`Engine::poll_transmit`](crate::Engine::poll_transmit).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use = "a datagram that is not sent is lost, as if by the network"]
#[non_exhaustive]
pub struct Transmit {
    /// Where to send it.
    pub path: Path,
    /// Bytes written to the buffer: always [`DATAGRAM_LEN`].
    pub len: usize,
    /// When to send it. A cell is sealed ahead of its slot and must be held until then, not sent at once; a
    /// handshake datagram is due immediately. Usable as a kernel launch time.
    pub due: Instant,
    /// What it is for, so that a driver can account for slots apart from handshakes.
    pub kind: TransmitKind,
}

/// What a datagram is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TransmitKind {
    /// A cell in a slot: payload or cover, which the caller cannot tell either.
    Cell,
    /// Part of a handshake.
    Handshake,
}
