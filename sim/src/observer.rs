//! The adversary who watches every link and cannot read: times, addresses and lengths are all he has.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;

use b4ae_core::Instant;

/// One datagram seen at one end of its way.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Sighting {
    /// When.
    pub time: Instant,
    /// The source address.
    pub from: SocketAddr,
    /// The destination address.
    pub to: SocketAddr,
    /// Length in bytes.
    pub len: usize,
}

impl fmt::Display for Sighting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ns {} -> {} {} bytes", self.time.as_nanos(), self.from, self.to, self.len)
    }
}

/// Where two observations part.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Difference {
    /// How many datagrams are the same before it.
    pub index: usize,
    /// The first datagram that differs, in the first observation.
    pub left: Option<Sighting>,
    /// The same in the second.
    pub right: Option<Sighting>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |seen: Option<Sighting>| seen.map_or_else(|| "nothing".into(), |seen| seen.to_string());
        write!(f, "datagram {}: {} / {}", self.index, show(self.left), show(self.right))
    }
}

/// Bytes into and out of a host for one remote address.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Exchange {
    /// Bytes that came from the address.
    pub bytes_in: u64,
    /// Bytes sent to it.
    pub bytes_out: u64,
    /// Datagrams that came.
    pub datagrams_in: u64,
    /// Datagrams sent.
    pub datagrams_out: u64,
    /// Whether, at some moment, more had been sent than had come: bytes or datagrams.
    pub amplified: bool,
}

/// Everything seen so far.
#[derive(Debug, Default)]
pub struct Observer {
    seen: Vec<(End, Sighting)>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum End {
    Leaving,
    Arriving,
}

impl Observer {
    pub(crate) fn leaves(&mut self, seen: Sighting) {
        self.seen.push((End::Leaving, seen));
    }

    pub(crate) fn arrives(&mut self, seen: Sighting) {
        self.seen.push((End::Arriving, seen));
    }

    pub(crate) fn forget(&mut self) {
        self.seen.clear();
    }

    /// Every datagram as it left its host, in order.
    pub fn leaving(&self) -> impl Iterator<Item = Sighting> + '_ {
        self.seen.iter().filter(|(end, _)| *end == End::Leaving).map(|(_, seen)| *seen)
    }

    /// Every datagram as it reached a host, forged ones included, in order.
    pub fn arriving(&self) -> impl Iterator<Item = Sighting> + '_ {
        self.seen.iter().filter(|(end, _)| *end == End::Arriving).map(|(_, seen)| *seen)
    }

    /// What went in and out of the host at `host`, by remote address.
    pub fn exchanges(&self, host: SocketAddr) -> BTreeMap<SocketAddr, Exchange> {
        let mut all = BTreeMap::<_, Exchange>::new();
        for (end, seen) in &self.seen {
            let len = seen.len as u64;
            if *end == End::Arriving && seen.to == host {
                let exchange = all.entry(seen.from).or_default();
                exchange.bytes_in += len;
                exchange.datagrams_in += 1;
            } else if *end == End::Leaving && seen.from == host {
                let exchange = all.entry(seen.to).or_default();
                exchange.bytes_out += len;
                exchange.datagrams_out += 1;
                exchange.amplified |=
                    exchange.bytes_out > exchange.bytes_in || exchange.datagrams_out > exchange.datagrams_in;
            }
        }
        all
    }

    /// Where two observations part, or `None` when they are equal.
    pub fn difference(left: &[Sighting], right: &[Sighting]) -> Option<Difference> {
        let index = left.iter().zip(right).take_while(|(a, b)| a == b).count();
        (index < left.len().max(right.len())).then(|| Difference {
            index,
            left: left.get(index).copied(),
            right: right.get(index).copied(),
        })
    }
}
