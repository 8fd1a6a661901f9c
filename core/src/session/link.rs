//! An open session's keys, counters and path: what it takes to send and open cells.

use alloc::boxed::Box;
use core::net::IpAddr;
use core::time::Duration;

use crate::config::Limits;
use crate::crypto::burn_stack;
use crate::handshake::transcript::{DirectionKeys, Exporter, SessionSecrets};
use crate::memory;
use crate::random::Stream;
use crate::secret::InPlace;
use crate::session::breaker::Breaker;
use crate::session::chain::{ReceiveChain, SendChain, Unusable, Workspace};
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
/// How deep a cell's primitives may go, in words of the stack below a call from here: 2.1 KB, and 3.3 KB where
/// `poly1305` uses AVX2. What `..leaving_traces` does is not inlined, so that its frame is among what is overwritten.
pub(crate) const CELL_STACK: usize = 512;

/// In the order in which it is used: a slot reads the first part and nothing else, since with many sessions none of it
/// is in the processor's caches. Always boxed, because its keys stand in it.
#[repr(C)]
pub(crate) struct Link {
    send_chain: SendChain,
    send_cid: [u8; 8],
    send_header: InPlace<32>,
    pub(crate) last_heard: Instant,
    pub(crate) cells_sent: u64,
    /// When the link gives its slots up.
    pub(crate) leaves: Option<Instant>,
    /// The first cell that told the peer of the close.
    pub(crate) close_told: Option<u64>,
    /// Thousandths of a slot reserved so far.
    reserve: u16,
    /// Cells sent since the end.
    farewells: u8,
    /// Cells of any kind, and those whose data was taken in.
    pub(crate) heard: Heard,
    pub(crate) received: Received,
    pub(crate) breaker: Breaker,
    pub(crate) route: Route,

    pub(crate) cells_received: u64,
    pub(crate) receive_cid: [u8; 8],
    receive_header: InPlace<32>,
    receive_chain: ReceiveChain,
    pub(crate) exporter: Exporter,
    /// Low-overhead traffic: when the next cover cell is due.
    pub(crate) cover_timer: Option<Instant>,
    /// Low-overhead traffic: when the next cell with something to say is due.
    pub(crate) payload_timer: Option<Instant>,
    pub(crate) side: Side,
    /// Where the session was opened from, whatever its path is now.
    pub(crate) opened_from: IpAddr,
}

/// What became of a datagram that claims to be a cell.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum NotOpened {
    Unauthentic,
    Replayed,
}

impl Link {
    pub(crate) fn new(secrets: &SessionSecrets, side: Side, path: Path, limits: &Limits, now: Instant) -> Box<Self> {
        let SessionSecrets { i2r, r2i, exporter, .. } = secrets;
        let (send, receive) = match side {
            Side::Initiator => (i2r, r2i),
            Side::Responder => (r2i, i2r),
        };
        let mut this = Box::new(Self {
            send_chain: SendChain::empty(),
            send_cid: send.cid,
            send_header: InPlace::zero(),
            last_heard: now,
            cells_sent: 0,
            leaves: None,
            close_told: None,
            reserve: 0,
            farewells: 0,
            heard: Heard::default(),
            received: Received::default(),
            breaker: Breaker::new(now),
            route: Route::new(path),
            cells_received: 0,
            receive_cid: receive.cid,
            receive_header: InPlace::zero(),
            receive_chain: ReceiveChain::empty(limits.reorder_window),
            exporter: Exporter::zero(),
            cover_timer: None,
            payload_timer: None,
            side,
            opened_from: path.remote().ip(),
        });
        this.exporter.assign(exporter);
        this.begin_leaving_traces(send, receive);
        burn_stack::<CELL_STACK>();
        this
    }

    #[inline(never)]
    fn begin_leaving_traces(&mut self, send: &DirectionKeys, receive: &DirectionKeys) {
        self.send_chain.begin(send.chain.expose());
        self.send_header.as_mut().copy_from_slice(send.header.expose());
        self.receive_chain.begin(receive.chain.expose());
        self.receive_header.as_mut().copy_from_slice(receive.header.expose());
    }

    /// Bytes of heap of a link, itself included.
    pub(crate) fn bound(limits: &Limits) -> u64 {
        // The exporter's; all others stand in it.
        size_of::<Self>() as u64 + memory::keys(1) + ReceiveChain::bound(limits.reorder_window)
    }

    /// The counter the next cell will have.
    pub(crate) fn next_counter(&self) -> u64 {
        self.send_chain.counter()
    }

    /// Seals the text that stands in `out` as the next cell.
    pub(crate) fn seal(&mut self, work: &mut Workspace, out: &mut [u8; DATAGRAM_LEN]) {
        self.seal_leaving_traces(work, out);
        work.wipe();
        burn_stack::<CELL_STACK>();
        self.cells_sent += 1;
    }

    #[inline(never)]
    fn seal_leaving_traces(&mut self, work: &mut Workspace, out: &mut [u8; DATAGRAM_LEN]) {
        let counter = self.send_chain.next(work);
        cell::seal(&self.send_cid, counter, self.send_header.expose(), work.key(), out);
    }

    /// Opens a cell in place: its counter and text. State moves only if it is authentic.
    pub(crate) fn open<'d>(
        &mut self,
        now: Instant,
        work: &mut Workspace,
        datagram: &'d mut [u8; DATAGRAM_LEN],
    ) -> Result<(u64, &'d [u8; TEXT_LEN]), NotOpened> {
        let opened = self.open_leaving_traces(now, work, datagram);
        work.wipe();
        burn_stack::<CELL_STACK>();
        opened
    }

    #[inline(never)]
    fn open_leaving_traces<'d>(
        &mut self,
        now: Instant,
        work: &mut Workspace,
        datagram: &'d mut [u8; DATAGRAM_LEN],
    ) -> Result<(u64, &'d [u8; TEXT_LEN]), NotOpened> {
        let counter = cell::counter(self.receive_header.expose(), datagram).ok_or(NotOpened::Unauthentic)?;
        self.receive_chain.peek(counter, now, work).map_err(|unusable| match unusable {
            Unusable::Replayed => NotOpened::Replayed,
            Unusable::TooFar => NotOpened::Unauthentic,
        })?;
        let text = cell::open(counter, work.key(), datagram).ok_or(NotOpened::Unauthentic)?;
        self.receive_chain.commit(counter, work);
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

/// Cells that addresses under test get at once, and how soon there may be one more. Whoever sends copies from elsewhere
/// ahead of the originals has an address tested for ever: its cells are lost to the peer, and must stay too few for the
/// circuit breaker to act on.
const TRIES: u32 = 8;
const TRY_AGAIN: Duration = Duration::from_secs(8);

/// Where cells go, and an address under test.
#[repr(C)]
pub(crate) struct Route {
    current: Path,
    response: Option<[u8; 8]>,
    probe: Option<Probe>,
    /// The last cell went to an address under test.
    astray: bool,
    /// When all tries are there again.
    rested: Instant,
}

struct Probe {
    path: Path,
    token: [u8; 8],
    received: u64,
    sent: u64,
}

impl Route {
    fn new(path: Path) -> Self {
        Self { current: path, response: None, probe: None, astray: false, rested: Instant::ORIGIN }
    }

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

    /// Where the cell that is due at `due` goes, and what it asks there. An address under test gets no more than came
    /// from it, and never two cells in a row; all of them together get few.
    pub(crate) fn next(&mut self, due: Instant) -> (Path, Option<[u8; 8]>) {
        let may = !self.astray && self.rested - due <= TRY_AGAIN * (TRIES - 1);
        match &mut self.probe {
            Some(probe) if may && probe.sent < probe.received => {
                probe.sent += 1;
                self.astray = true;
                self.rested = self.rested.max(due) + TRY_AGAIN;
                (probe.path, Some(probe.token))
            }
            _ => {
                self.astray = false;
                (self.current, None)
            }
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
                self.rested = Instant::ORIGIN;
                true
            }
            probe => {
                self.probe = probe;
                false
            }
        }
    }
}
