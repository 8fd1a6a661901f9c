//! The device's firmware: `core` and `alloc`, and no memory that was not set aside before it starts.

extern crate alloc;

use alloc::format;
use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;

use b4ae_core::{
    CloseReason, Config, ConfigError, ConnectError, DATAGRAM_LEN, Engine, Event, Identity, Instant, Limits, MessageId,
    ModePolicy, Path, PeerId, SecretIdentity, Seed, SendError, SessionId, Shutdown, Traffic, TxBuf, UnixTime,
};
use static_cell::ConstStaticCell;

/// Bytes of heap: what `Config::memory_bound` says of [`LIMITS`], an identity, and 64 KiB for the rest of the program.
pub(crate) const HEAP_LEN: usize = 208 << 10;
/// Of which the engine may take so much.
const ENGINE_LEN: u64 = 136 << 10;

/// One session, short messages, few of them: what a sensor needs.
const LIMITS: Limits = Limits {
    sessions: 1,
    sessions_per_prefix: 1,
    half_open: 1,
    pending_jobs: 1,
    pending_signatures: 1,
    challenges_per_second: 10,
    handshakes_per_prefix: 1,
    prefixes: 16,
    cookies: 64,
    message: 1024,
    send_bytes: 2048,
    send_messages: 2,
    receive_bytes: 4096,
    reorder_window: 32,
};

/// A slot every 50 ms, used or not: whoever listens to the radio cannot tell when there is a reading.
const SLOT: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(30);

/// One datagram on its way out, and one on its way in, a byte longer so that one that is too long shows.
static OUT: ConstStaticCell<[u8; DATAGRAM_LEN]> = ConstStaticCell::new([0; DATAGRAM_LEN]);
static IN: ConstStaticCell<[u8; DATAGRAM_LEN + 1]> = ConstStaticCell::new([0; DATAGRAM_LEN + 1]);

/// What the firmware needs of the hardware.
pub(crate) trait Board {
    /// A clock that only goes forwards.
    fn now(&self) -> Instant;
    /// The date.
    fn wall(&self) -> UnixTime;
    /// 32 bytes of the hardware's random number generator, when it is ready.
    fn seed(&mut self) -> Option<Seed>;
    /// Sends a datagram, or loses it.
    fn transmit(&mut self, to: SocketAddr, datagram: &[u8]);
    /// What the radio has received, cut off where `into` ends.
    fn receive(&mut self, into: &mut [u8]) -> Option<(usize, SocketAddr)>;
    /// Waits until then, or until the radio has something.
    fn sleep(&mut self, until: Instant);
}

/// Why the device stopped.
#[derive(Debug)]
pub(crate) enum Fault {
    Entropy,
    Config(ConfigError),
    /// The limits allow more than the heap has.
    Memory(u64),
    Connect(ConnectError),
    Send(SendError),
    Session(CloseReason),
    Silence,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entropy => f.write_str("the random number generator gives nothing"),
            Self::Config(error) => error.fmt(f),
            Self::Memory(bytes) => write!(f, "the limits allow {bytes} bytes, and the engine has {ENGINE_LEN}"),
            Self::Connect(error) => error.fmt(f),
            Self::Send(error) => error.fmt(f),
            Self::Session(reason) => write!(f, "the session has ended: {reason}"),
            Self::Silence => write!(f, "the node confirmed nothing for {} s", PATIENCE.as_secs()),
        }
    }
}

impl core::error::Error for Fault {}

/// A sensor with a session to the node that it reports to.
pub(crate) struct Device {
    engine: Engine,
    session: SessionId,
    /// Sealed, and held until its slot.
    sealed: Option<(Instant, SocketAddr)>,
    out: &'static mut [u8; DATAGRAM_LEN],
    incoming: &'static mut [u8; DATAGRAM_LEN + 1],
    delivered: Option<MessageId>,
}

impl Device {
    /// Makes an identity and calls the node. There is one device: a second start panics.
    pub(crate) fn start(board: &mut impl Board, node: SocketAddr, peer: PeerId) -> Result<Self, Fault> {
        let config = Config::builder(Traffic::constant(SLOT)).limits(LIMITS).build().map_err(Fault::Config)?;
        let bound = config.memory_bound().total();
        if bound > ENGINE_LEN {
            return Err(Fault::Memory(bound));
        }
        let secret = SecretIdentity::generate(&board.seed().ok_or(Fault::Entropy)?);
        // No ML-DSA: its signatures take 200 KB of stack.
        let identity = Identity::without_signer(&secret.x25519, None);
        let seed = board.seed().ok_or(Fault::Entropy)?;
        let now = board.now();
        let mut engine = Engine::new(&config, identity, &seed, now, board.wall()).map_err(Fault::Config)?;
        let session = engine.connect(now, Path::new(node, None), &peer, ModePolicy::A).map_err(Fault::Connect)?;
        Ok(Self { engine, session, sealed: None, out: OUT.take(), incoming: IN.take(), delivered: None })
    }

    /// Takes a reading, sends it, and returns when the node has confirmed it.
    pub(crate) fn report(&mut self, board: &mut impl Board, n: u32) -> Result<(), Fault> {
        // What a thermometer would say.
        let reading = format!("reading {n}: {}.{} degrees", 20 + n % 3, n * 7 % 10);
        let mut session = self.engine.session(self.session).map_err(|_| Fault::Silence)?;
        let id = session.send(reading.as_bytes()).map_err(Fault::Send)?;
        let until = board.now() + PATIENCE;
        while self.delivered != Some(id) {
            self.turn(board)?;
            if board.now() > until {
                return Err(Fault::Silence);
            }
        }
        Ok(())
    }

    /// Tells the node that this was all.
    pub(crate) fn stop(&mut self, board: &mut impl Board) -> Result<(), Fault> {
        let now = board.now();
        self.engine.shutdown(now, Shutdown::Flush(now + Duration::from_secs(2)));
        while !self.engine.is_drained() || self.sealed.is_some() {
            match self.turn(board) {
                // This is the end that was asked for.
                Ok(()) | Err(Fault::Session(CloseReason::Local)) => {}
                Err(fault) => return Err(fault),
            }
        }
        Ok(())
    }

    /// One turn: feed, let time pass, drain, sleep.
    fn turn(&mut self, board: &mut impl Board) -> Result<(), Fault> {
        self.send_sealed(board);
        while let Some((len, from)) = board.receive(self.incoming) {
            self.engine.handle_datagram(board.now(), Path::new(from, None), &mut self.incoming[..len]);
        }
        let now = board.now();
        if self.engine.poll_timeout().is_some_and(|at| at <= now) {
            self.engine.handle_timeout(now);
        }
        // Between slots there is time for it; a device with two cores would give jobs to the other.
        self.engine.run_inline(now);
        while self.sealed.is_none() {
            let Some(transmit) = TxBuf::new(self.out).ok().and_then(|buf| self.engine.poll_transmit(buf)) else {
                break;
            };
            self.sealed = Some((transmit.due, transmit.path.remote()));
            self.send_sealed(board);
        }
        let mut end = None;
        while let Some(event) = self.engine.poll_event() {
            match event {
                Event::Delivered(_, id) => self.delivered = Some(id),
                Event::Closed(_, reason) => end = Some(reason),
                // The node has nothing to say that this device would do.
                _ => {}
            }
        }
        if let Some(reason) = end {
            return Err(Fault::Session(reason));
        }
        let next = [self.engine.poll_timeout(), self.sealed.map(|(due, _)| due)].into_iter().flatten().min();
        board.sleep(next.unwrap_or(board.now() + SLOT));
        Ok(())
    }

    /// Sends what is sealed, if its slot has come.
    fn send_sealed(&mut self, board: &mut impl Board) {
        if let Some((_, to)) = self.sealed.take_if(|(due, _)| *due <= board.now()) {
            board.transmit(to, self.out);
        }
    }
}
