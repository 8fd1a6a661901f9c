//! What is asked of every protocol: the same work, in memory, by its public API.

use std::any::Any;
use std::time::Duration;

use anyhow::Result;

use crate::loopback::Loopback;
use crate::measure::Work;

/// What was on the wire: UDP datagrams and their payloads' bytes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Wire {
    pub(crate) datagrams: usize,
    pub(crate) bytes: usize,
}

impl Wire {
    /// One more datagram.
    pub(crate) fn carry(&mut self, bytes: usize) {
        self.datagrams += 1;
        self.bytes += bytes;
    }
}

/// Something that comes to a server out of the blue.
pub(crate) struct Knock {
    /// What comes, and what comes of it.
    pub(crate) what: &'static str,
    /// Its cost to the server, a datagram an operation.
    pub(crate) work: Box<dyn Work>,
}

/// A protocol, or a mode of it.
pub(crate) trait Peer {
    /// How the tables call it.
    fn name(&self) -> &'static str;

    /// Whose code computes what.
    fn made_of(&self) -> &'static str;

    /// What B4AE v2 does and it does not, by its own documentation.
    fn lacks(&self) -> &'static [&'static str];

    /// Two ends that have not met, with long-term keys made beforehand, and room for so many sessions.
    fn pair(&self, sessions: usize) -> Box<dyn Pair>;

    /// Whether its sessions carry messages.
    fn has_messages(&self) -> bool {
        true
    }

    /// What strangers can do to a server, `batch` at a time.
    fn knocks(&self, batch: usize) -> Vec<Knock>;

    /// Carries messages of [`loopback::MESSAGE`](crate::loopback::MESSAGE) bytes through UDP sockets for that long,
    /// where it comes with sockets or takes datagrams as they are.
    fn loopback(&self, time: Duration) -> Result<Option<Loopback>> {
        let _ = time;
        Ok(None)
    }
}

/// Two ends and what is between them.
pub(crate) trait Pair {
    /// All flights of one more handshake, until both ends know that it has succeeded.
    fn handshake(&mut self) -> Wire;

    /// Carries a message from the newest session's initiator to its responder, and requires that it is the same there.
    fn message(&mut self, message: &[u8]) -> Wire;

    /// What is due after messages, so that there can be more: acknowledgements. Not measured.
    fn settle(&mut self) {}

    /// The initiator and the responder, to be dropped one after the other.
    fn ends(self: Box<Self>) -> [Box<dyn Any>; 2];
}
