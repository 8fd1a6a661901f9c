//! What networks do to datagrams beyond losing them, and what address translators do to addresses.

use std::collections::VecDeque;
use std::net::SocketAddr;

use crate::draws::chance;

/// Datagrams kept per direction for replay.
const REPLAY_DEPTH: usize = 64;

/// Faults of one direction of a link.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Faults {
    /// Datagrams in a thousand with one byte changed, any byte.
    pub corrupt: u16,
    /// Datagrams in a thousand cut short, to any length down to nothing.
    pub truncate: u16,
    /// Datagrams in a thousand after which an earlier one, up to 64 back, arrives once more.
    pub replay: u16,
    /// Nothing gets through this way.
    pub blocked: bool,
}

/// The state of the faults of one direction.
#[derive(Debug)]
pub(crate) struct FaultState {
    pub(crate) faults: Faults,
    rng: fastrand::Rng,
    past: VecDeque<Vec<u8>>,
}

impl FaultState {
    pub(crate) const fn new(faults: Faults, rng: fastrand::Rng) -> Self {
        Self { faults, rng, past: VecDeque::new() }
    }

    /// Damages `datagram` as the faults say, and returns an earlier one to deliver as well.
    pub(crate) fn apply(&mut self, datagram: &mut Vec<u8>) -> Option<Vec<u8>> {
        let corrupt = chance(&mut self.rng, self.faults.corrupt);
        let truncate = chance(&mut self.rng, self.faults.truncate);
        let replay = chance(&mut self.rng, self.faults.replay);
        let (place, flip, pick) = (self.rng.usize(..), self.rng.u8(1..), self.rng.usize(..));
        if self.faults.replay > 0 {
            if self.past.len() == REPLAY_DEPTH {
                self.past.pop_front();
            }
            self.past.push_back(datagram.clone());
        }
        if corrupt && !datagram.is_empty() {
            let place = place % datagram.len();
            datagram[place] ^= flip;
        }
        if truncate && !datagram.is_empty() {
            datagram.truncate(place % datagram.len());
        }
        if replay { self.past.get(pick % self.past.len().max(1)).cloned() } else { None }
    }
}

/// An address translator in front of one host: what its source address looks like from outside.
#[derive(Debug)]
pub(crate) struct Nat {
    public: SocketAddr,
    mapped: bool,
    next_port: u16,
}

impl Nat {
    pub(crate) const fn new(public: SocketAddr) -> Self {
        Self { public, mapped: true, next_port: 20_000 }
    }

    /// The address others see; while the mapping is gone, the last one.
    pub(crate) const fn public(&self) -> SocketAddr {
        self.public
    }

    /// Whether datagrams to the public address reach the host.
    pub(crate) const fn is_mapped(&self) -> bool {
        self.mapped
    }

    /// Forgets the mapping: nothing gets in until the host sends, from a new port.
    pub(crate) const fn expire(&mut self) {
        self.mapped = false;
    }

    /// The host sends: the source address, a new one if the mapping had expired.
    pub(crate) fn outgoing(&mut self) -> SocketAddr {
        if !self.mapped {
            self.next_port = self.next_port.wrapping_add(1).max(1024);
            self.public.set_port(self.next_port);
            self.mapped = true;
        }
        self.public
    }

    /// Moves the host to another address at once.
    pub(crate) const fn rebind(&mut self, to: SocketAddr) {
        self.public = to;
        self.mapped = true;
    }
}
