//! The man in the middle: sees every datagram on its way and does with it what he likes.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use b4ae_core::Instant;

/// Someone on every link at once. Implemented for closures.
pub trait Attacker {
    /// Meets one datagram that a host has sent.
    fn meet(&mut self, datagram: &mut Encounter<'_>);
}

impl<F: FnMut(&mut Encounter<'_>)> Attacker for F {
    fn meet(&mut self, datagram: &mut Encounter<'_>) {
        self(datagram);
    }
}

/// A datagram put on the wire by the attacker, with whatever source address he likes.
#[derive(Clone, Eq, PartialEq)]
pub struct Forged {
    /// How long from now it arrives.
    pub after: Duration,
    /// The source address the receiver sees.
    pub from: SocketAddr,
    /// Where it goes.
    pub to: SocketAddr,
    /// What it holds.
    pub bytes: Vec<u8>,
}

impl fmt::Debug for Forged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Forged({} -> {}, {} bytes, after {:?})", self.from, self.to, self.bytes.len(), self.after)
    }
}

/// One datagram as the attacker meets it. Untouched, it goes its way.
pub struct Encounter<'a> {
    pub(crate) now: Instant,
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) bytes: &'a mut Vec<u8>,
    pub(crate) rng: &'a mut fastrand::Rng,
    pub(crate) forged: &'a mut Vec<Forged>,
    pub(crate) dropped: bool,
    pub(crate) delay: Duration,
}

impl fmt::Debug for Encounter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Encounter({} -> {}, {} bytes)", self.from, self.to, self.bytes.len())
    }
}

impl Encounter<'_> {
    /// The time.
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// The sender's address as seen from outside.
    pub const fn from(&self) -> SocketAddr {
        self.from
    }

    /// The destination.
    pub const fn to(&self) -> SocketAddr {
        self.to
    }

    /// The content.
    pub fn bytes(&self) -> &[u8] {
        self.bytes
    }

    /// The content, to change: any byte, any length.
    pub const fn bytes_mut(&mut self) -> &mut Vec<u8> {
        self.bytes
    }

    /// The attacker's own coins, drawn from the world's seed.
    pub const fn rng(&mut self) -> &mut fastrand::Rng {
        self.rng
    }

    /// Lets it vanish.
    pub const fn drop(&mut self) {
        self.dropped = true;
    }

    /// Holds it back before it enters the link.
    pub const fn delay(&mut self, by: Duration) {
        self.delay = by;
    }

    /// Shows the sender's address as another one.
    pub const fn spoof(&mut self, from: SocketAddr) {
        self.from = from;
    }

    /// Sends it somewhere else.
    pub const fn redirect(&mut self, to: SocketAddr) {
        self.to = to;
    }

    /// Puts another datagram on the wire.
    pub fn inject(&mut self, forged: Forged) {
        self.forged.push(forged);
    }

    /// Sends a copy back to its sender, as if from the destination.
    pub fn reflect(&mut self) {
        let forged =
            Forged { after: Duration::from_millis(1), from: self.to, to: self.from, bytes: self.bytes.clone() };
        self.forged.push(forged);
    }
}
