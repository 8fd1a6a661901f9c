//! The core in an event loop of one's own: `mio`, one thread for everything and one for slow work, no runtime.
//!
//! It answers like `echo serve` and calls like `echo call`, and talks with either.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use b4ae_core::{
    Accept, Clock, CloseReason, Completion, Config, DATAGRAM_LEN, Engine, Event, Job, ModePolicy, Path, PeerUri, Seed,
    SendError, SessionId, Shutdown, TransmitKind, TxBuf,
};
use b4ae_examples::{config, entropy, fresh_identity};
use clap::Parser;
use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token, Waker};

/// The core in an event loop of one's own.
#[derive(Debug, Parser)]
#[command(name = "event-loop")]
enum Command {
    /// Send every message back; prints the address to call
    Serve {
        /// Where to listen
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: SocketAddr,
    },
    /// Send messages, and print what comes back
    Call {
        /// The address that `serve` printed
        uri: PeerUri,
        /// What to send
        #[arg(required = true)]
        messages: Vec<String>,
    },
}

const RATE: u32 = 100;
const SOCKET: Token = Token(0);
const DONE: Token = Token(1);

fn main() -> Result<()> {
    match Command::parse() {
        Command::Serve { listen } => {
            let mut node = Node::new(listen, &config(RATE).accept(Accept::Anyone(ModePolicy::B_THEN_A)).build()?)?;
            let peer = node.engine.peer_id();
            println!("{}", PeerUri { host: listen.ip().to_string(), port: node.socket.local_addr()?.port(), peer });
            node.run(&mut Echo::default())
        }
        Command::Call { uri, messages } => {
            let resolved = (uri.host.as_str(), uri.port).to_socket_addrs().with_context(|| uri.host.clone())?.next();
            let address = resolved.with_context(|| format!("{} has no address", uri.host))?;
            let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
            let mut node = Node::new(any.parse()?, &config(RATE).build()?)?;
            let now = node.clock.now();
            let session = node
                .engine
                .connect(now, Path::new(address, None), &uri.peer, ModePolicy::B_THEN_A)
                .context("dialling")?;
            let mut view = node.engine.session(session)?;
            // They leave once the session is open.
            messages.iter().try_for_each(|message| view.send(message.as_bytes()).map(|_| ()))?;
            node.run(&mut Caller { left: messages.len() })
        }
    }
}

/// What one does with messages: the part that is yours.
trait Application {
    /// Something happened. `Break` ends the program, once what is queued has been delivered.
    fn on_event(&mut self, engine: &mut Engine, event: Event) -> Result<bool>;
}

/// Sends back what comes; what finds no room waits here, and its session is not read meanwhile.
#[derive(Default)]
struct Echo {
    waiting: VecDeque<(SessionId, Vec<u8>)>,
}

impl Application for Echo {
    fn on_event(&mut self, engine: &mut Engine, event: Event) -> Result<bool> {
        match event {
            Event::Readable(id) | Event::Writable(id) => self.echo(engine, id)?,
            Event::Incoming(id) => eprintln!("{id}: {}", engine.session(id)?.peer()),
            Event::Closed(id, reason) => {
                self.waiting.retain(|(owner, _)| *owner != id);
                eprintln!("{id}: {reason}");
            }
            _ => {}
        }
        Ok(false)
    }
}

impl Echo {
    fn echo(&mut self, engine: &mut Engine, id: SessionId) -> Result<()> {
        loop {
            let place = self.waiting.iter().position(|(owner, _)| *owner == id);
            let message = match place.and_then(|place| self.waiting.remove(place)) {
                Some((_, message)) => message,
                None => match take(engine, id)? {
                    Some(message) => message,
                    None => return Ok(()),
                },
            };
            match engine.session(id)?.send(&message) {
                Ok(_) => {}
                Err(SendError::Full) => {
                    // `Writable` comes when there is room.
                    self.waiting.push_back((id, message));
                    return Ok(());
                }
                // A peer that is leaving, or that takes less than it sends: what it said is dropped.
                Err(e) => eprintln!("{id}: {e}"),
            }
        }
    }
}

/// Prints what comes back, and is done when everything has.
struct Caller {
    left: usize,
}

impl Application for Caller {
    fn on_event(&mut self, engine: &mut Engine, event: Event) -> Result<bool> {
        match event {
            Event::Readable(id) => {
                while let Some(message) = take(engine, id)? {
                    println!("{}", String::from_utf8_lossy(&message));
                    self.left = self.left.saturating_sub(1);
                }
                Ok(self.left == 0)
            }
            Event::Closed(_, CloseReason::Unreachable) => {
                bail!("nobody answers at that address under that fingerprint")
            }
            Event::Closed(_, reason) => bail!("the session has ended: {reason}"),
            _ => Ok(false),
        }
    }
}

/// The session's next message, if one has arrived.
fn take(engine: &mut Engine, id: SessionId) -> Result<Option<Vec<u8>>> {
    let mut session = engine.session(id)?;
    let Some(len) = session.next_len() else { return Ok(None) };
    let mut message = vec![0; len];
    session.recv(&mut message)?;
    Ok(Some(message))
}

/// A datagram that is sealed already and waits for its slot.
struct Sealed {
    due: b4ae_core::Instant,
    to: SocketAddr,
    bytes: [u8; DATAGRAM_LEN],
}

/// The engine, and what it has none of: a socket, a clock, a thread for slow work.
struct Node {
    engine: Engine,
    clock: Clock,
    socket: UdpSocket,
    poll: Poll,
    /// In the order of their slots.
    sealed: VecDeque<Sealed>,
    slow: Sender<Job>,
    done: Receiver<Completion>,
}

impl Node {
    fn new(listen: SocketAddr, config: &Config) -> Result<Self> {
        let clock = Clock::new();
        let engine = Engine::new(config, fresh_identity()?, &Seed::new(*entropy()?), clock.now(), Clock::wall())?;
        let mut socket = UdpSocket::bind(listen).with_context(|| format!("binding UDP {listen}"))?;
        let poll = Poll::new()?;
        poll.registry().register(&mut socket, SOCKET, Interest::READABLE)?;
        let waker = Arc::new(Waker::new(poll.registry(), DONE)?);
        let (slow, jobs) = channel::<Job>();
        let (finished, done) = channel();
        // Handshakes take a millisecond or so: enough to be late for a slot.
        thread::spawn(move || {
            for job in jobs {
                if finished.send(job.run()).is_err() || waker.wake().is_err() {
                    return;
                }
            }
        });
        Ok(Self { engine, clock, socket, poll, sealed: VecDeque::new(), slow, done })
    }

    fn run(&mut self, application: &mut impl Application) -> Result<()> {
        let mut events = Events::with_capacity(8);
        let mut stopping = false;
        loop {
            // Feed, and let time pass.
            let now = self.clock.now();
            while let Ok(completion) = self.done.try_recv() {
                self.engine.handle_completion(now, completion);
            }
            self.receive()?;
            if self.engine.poll_timeout().is_some_and(|at| at <= now) {
                self.engine.handle_timeout(now);
            }
            // Drain. What the application does here fills cells of later slots, and moves none.
            while let Some(event) = self.engine.poll_event() {
                // Sessions end now because they were asked to.
                if !stopping && application.on_event(&mut self.engine, event)? {
                    stopping = true;
                    self.engine.shutdown(now, Shutdown::Flush(now + Duration::from_secs(2)));
                }
            }
            while let Some(job) = self.engine.poll_job() {
                self.slow.send(job).context("the thread for slow work has ended")?;
            }
            self.seal()?;
            self.send_due()?;
            if stopping && self.engine.is_drained() && self.sealed.is_empty() {
                return Ok(());
            }
            // Sleep. `mio` rounds up to milliseconds: good enough for a slot every ten.
            let slot = self.sealed.front().map(|sealed| sealed.due);
            let next = [self.engine.poll_timeout(), slot].into_iter().flatten().min();
            let wait = next.map(|at| at.saturating_since(self.clock.now()));
            match self.poll.poll(&mut events, wait) {
                Err(e) if e.kind() != ErrorKind::Interrupted => return Err(e).context("waiting"),
                _ => {}
            }
        }
    }

    fn receive(&mut self) -> Result<()> {
        // Longer ones are none of ours, and must be seen to be longer.
        let mut datagram = [0; DATAGRAM_LEN + 1];
        loop {
            match self.socket.recv_from(&mut datagram) {
                Ok((len, from)) => {
                    self.engine.handle_datagram(self.clock.now(), Path::new(from, None), &mut datagram[..len]);
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                // An ICMP error about something sent earlier: news of the network, not of ours.
                Err(e) if is_networks(&e) => {}
                Err(e) => return Err(e).context("receiving"),
            }
        }
    }

    /// Takes out what the engine has sealed. A cell comes some time ahead, so that nothing is left to do at its slot
    /// but to send it.
    fn seal(&mut self) -> Result<()> {
        let mut bytes = [0; DATAGRAM_LEN];
        while let Some(transmit) = self.engine.poll_transmit(TxBuf::new(&mut bytes)?) {
            let to = transmit.path.remote();
            match transmit.kind {
                TransmitKind::Cell => self.sealed.push_back(Sealed { due: transmit.due, to, bytes }),
                TransmitKind::Handshake => self.send(to, &bytes)?,
            }
        }
        Ok(())
    }

    fn send_due(&mut self) -> Result<()> {
        let now = self.clock.now();
        while self.sealed.front().is_some_and(|cell| cell.due <= now) {
            let Some(cell) = self.sealed.pop_front() else { break };
            self.send(cell.to, &cell.bytes)?;
        }
        Ok(())
    }

    /// Sends, or loses it as the network would: another attempt would be a datagram out of its slot.
    fn send(&self, to: SocketAddr, datagram: &[u8]) -> Result<()> {
        match self.socket.send_to(datagram, to) {
            Err(e) if e.kind() != ErrorKind::WouldBlock && !is_networks(&e) => Err(e).context("sending"),
            _ => Ok(()),
        }
    }
}

/// Whether an error tells of the network or a peer, and not of this program.
fn is_networks(error: &io::Error) -> bool {
    use ErrorKind::{ConnectionRefused, ConnectionReset, HostUnreachable, Interrupted, NetworkUnreachable};
    matches!(error.kind(), ConnectionRefused | ConnectionReset | HostUnreachable | Interrupted | NetworkUnreachable)
}
