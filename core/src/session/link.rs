//! An open session's keys, counters and path: what it takes to send and open cells.

use core::net::IpAddr;

use crate::config::Limits;
use crate::crypto::burn_stack;
use crate::handshake::transcript::{Exporter, SessionSecrets};
use crate::memory;
use crate::random::Stream;
use crate::secret::Secret;
use crate::session::breaker::Breaker;
use crate::session::chain::{ReceiveChain, SendChain, Unusable};
use crate::session::received::Received;
use crate::time::Instant;
use crate::transmit::{DATAGRAM_LEN, Path};
use crate::wire::cell::{self, Heard, TEXT_LEN};

/// Which side of the handshake we were.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Side {
    Initiator,
    Responder,
}

/// Cells that tell of a session's end before its keys are wiped.
const FAREWELLS: u8 = 4;

pub(crate) struct Link {
    pub(crate) exporter: Exporter,
    pub(crate) side: Side,
    /// Where the session was opened from, whatever its path is now.
    pub(crate) opened_from: IpAddr,
    send_chain: SendChain,
    send_header: Secret<32>,
    send_cid: [u8; 8],
    receive_chain: ReceiveChain,
    receive_header: Secret<32>,
    pub(crate) receive_cid: [u8; 8],
    /// Cells of any kind, and those whose data was taken in.
    pub(crate) heard: Heard,
    pub(crate) received: Received,
    pub(crate) route: Route,
    pub(crate) breaker: Breaker,
    pub(crate) last_heard: Instant,
    pub(crate) cells_sent: u64,
    pub(crate) cells_received: u64,
    /// Thousandths of a slot reserved so far.
    reserve: u16,
    /// When the link gives its slots up.
    pub(crate) leaves: Option<Instant>,
    /// The first cell that told the peer of the close.
    pub(crate) close_told: Option<u64>,
    /// Low-overhead traffic: when the next cover cell is due.
    pub(crate) cover_timer: Option<Instant>,
    /// Low-overhead traffic: when the next cell with something to say is due.
    pub(crate) payload_timer: Option<Instant>,
    /// Cells sent since the end.
    farewells: u8,
}

/// What became of a datagram that claims to be a cell.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum NotOpened {
    Unauthentic,
    Replayed,
}

impl Link {
    pub(crate) fn new(secrets: SessionSecrets, side: Side, path: Path, limits: &Limits, now: Instant) -> Self {
        let SessionSecrets { i2r, r2i, exporter, .. } = secrets;
        let (send, receive) = match side {
            Side::Initiator => (i2r, r2i),
            Side::Responder => (r2i, i2r),
        };
        Self {
            exporter,
            side,
            opened_from: path.remote().ip(),
            send_chain: SendChain::new(&send.chain),
            send_header: send.header,
            send_cid: send.cid,
            receive_chain: ReceiveChain::new(&receive.chain, limits.reorder_window),
            receive_header: receive.header,
            receive_cid: receive.cid,
            heard: Heard::default(),
            received: Received::default(),
            route: Route { current: path, probe: None, response: None },
            breaker: Breaker::new(now),
            last_heard: now,
            cells_sent: 0,
            cells_received: 0,
            reserve: 0,
            leaves: None,
            close_told: None,
            cover_timer: None,
            payload_timer: None,
            farewells: 0,
        }
    }

    /// Bytes of heap of a link, itself included.
    pub(crate) fn bound(limits: &Limits) -> u64 {
        // The exporter's, the sending chain's and two headers'.
        size_of::<Self>() as u64 + memory::keys(2 + 3 + 2) + ReceiveChain::bound(limits.reorder_window)
    }

    /// The counter the next cell will have.
    pub(crate) fn next_counter(&self) -> u64 {
        self.send_chain.counter()
    }

    /// Seals the text that stands in `out` as the next cell.
    pub(crate) fn seal(&mut self, out: &mut [u8; DATAGRAM_LEN]) {
        let (counter, key) = self.send_chain.next();
        cell::seal(&self.send_cid, counter, &self.send_header, key, out);
        burn_stack::<512>();
        self.cells_sent += 1;
    }

    /// Opens a cell in place: its counter and text. State moves only if it is authentic.
    pub(crate) fn open<'d>(
        &mut self,
        datagram: &'d mut [u8; DATAGRAM_LEN],
    ) -> Result<(u64, &'d [u8; TEXT_LEN]), NotOpened> {
        let counter = cell::counter(&self.receive_header, datagram).ok_or(NotOpened::Unauthentic)?;
        let key = self.receive_chain.peek(counter).map_err(|unusable| match unusable {
            Unusable::Replayed => NotOpened::Replayed,
            Unusable::TooFar => NotOpened::Unauthentic,
        })?;
        let text = cell::open(counter, key, datagram).ok_or(NotOpened::Unauthentic)?;
        self.receive_chain.commit(counter);
        burn_stack::<512>();
        self.cells_received += 1;
        Ok((counter, text))
    }

    /// Whether this slot is one of those reserved for cells without fresh messages. The wire shows nothing of it.
    pub(crate) fn reserved_slot(&mut self, dummy_permille: u16) -> bool {
        self.reserve += dummy_permille;
        let reserved = self.reserve >= 1000;
        if reserved {
            self.reserve -= 1000;
        }
        reserved
    }

    /// Counts a cell that tells of the session's end.
    pub(crate) fn say_farewell(&mut self) {
        if self.leaves.is_some() {
            self.farewells = self.farewells.saturating_add(1);
        }
    }

    /// The peer does not listen: there is nobody to tell.
    pub(crate) fn skip_farewell(&mut self) {
        self.farewells = u8::MAX;
    }

    /// Whether the peer has been told of the end so often that it knows, were half of it lost.
    pub(crate) fn has_said_farewell(&self) -> bool {
        self.farewells >= FAREWELLS
    }
}

/// Where cells go, and an address under test.
pub(crate) struct Route {
    current: Path,
    probe: Option<Probe>,
    response: Option<[u8; 8]>,
}

struct Probe {
    path: Path,
    token: [u8; 8],
    received: u64,
    sent: u64,
}

impl Route {
    pub(crate) fn current(&self) -> Path {
        self.current
    }

    /// Notes that the newest authentic cell came by `path`.
    pub(crate) fn heard(&mut self, path: Path, random: &mut Stream) {
        if path.remote() == self.current.remote() {
            self.current = path;
            self.probe = None;
            return;
        }
        match &mut self.probe {
            Some(probe) if probe.path.remote() == path.remote() => probe.received += 1,
            _ => self.probe = Some(Probe { path, token: random.bytes(), received: 1, sent: 0 }),
        }
    }

    /// Where the next cell goes, and what it asks there. An address under test gets no more than came from it.
    pub(crate) fn next(&mut self) -> (Path, Option<[u8; 8]>) {
        match &mut self.probe {
            Some(probe) if probe.sent < probe.received => {
                probe.sent += 1;
                (probe.path, Some(probe.token))
            }
            _ => (self.current, None),
        }
    }

    /// The peer asks us to prove that we receive here.
    pub(crate) fn challenged(&mut self, token: [u8; 8]) {
        self.response = Some(token);
    }

    /// The proof that is owed.
    pub(crate) fn take_response(&mut self) -> Option<[u8; 8]> {
        self.response.take()
    }

    /// The peer's proof. `true` if cells now go elsewhere.
    pub(crate) fn proved(&mut self, token: [u8; 8]) -> bool {
        match self.probe.take() {
            Some(probe) if probe.token == token => {
                self.current = probe.path;
                true
            }
            probe => {
                self.probe = probe;
                false
            }
        }
    }
}
