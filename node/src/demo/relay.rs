//! The observer: a relay on each link that forwards datagrams between two sockets and notes when each came, which way
//! it went and how long it was. It holds no keys and knows nothing of the protocol.

use std::io::{self, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use b4ae_core::{Clock, Instant};
use quinn_udp::{RecvMeta, UdpSocketState};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Room for whatever a UDP socket can hand out at once.
const MEMORY: usize = 1 << 16;
/// Bytes a socket may hold while the relay waits for a processor, as far as the system allows.
const BUFFER: usize = 1 << 20;
/// How often a waiting relay looks whether it should stop. Nothing is paced by it.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// Which way a datagram went.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Direction {
    /// From the client to the server.
    Up,
    /// From the server to the client.
    Down,
}

/// What an observer can tell of a datagram.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sighting {
    /// When it passed.
    pub(crate) at: Instant,
    /// Which way.
    pub(crate) direction: Direction,
    /// Its length in bytes.
    pub(crate) len: u16,
}

/// What a relay has seen so far, shared with its threads.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sightings(Arc<Mutex<Vec<Sighting>>>);

impl Sightings {
    /// Notes one more.
    pub(crate) fn push(&self, sighting: Sighting) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(sighting);
    }

    /// Lets `look` see all sightings, oldest first in each direction.
    pub(crate) fn with<T>(&self, look: impl FnOnce(&[Sighting]) -> T) -> T {
        look(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A relay in front of the server, for one client. Stops when dropped.
#[derive(Debug)]
pub(crate) struct Relay {
    addr: SocketAddr,
    sightings: Sightings,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Relay {
    /// A relay to `server` on a free port of the loopback interface.
    pub(crate) fn start(server: SocketAddr, clock: Clock) -> io::Result<Self> {
        let front = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?);
        let back = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?);
        back.connect(server)?;
        let mut relay = Self {
            addr: front.local_addr()?,
            sightings: Sightings::default(),
            stop: Arc::default(),
            threads: Vec::new(),
        };
        relay.spawn(Lane::new(front.clone(), back.clone(), Direction::Up, clock)?)?;
        relay.spawn(Lane::new(back, front, Direction::Down, clock)?)?;
        Ok(relay)
    }

    fn spawn(&mut self, lane: Lane) -> io::Result<()> {
        let (stop, sightings) = (self.stop.clone(), self.sightings.clone());
        let run = move || {
            let mut memory = vec![0; MEMORY];
            while !stop.load(Ordering::Relaxed) {
                // Loopback errors (a port that has just closed) are the network's business, not the relay's.
                let Ok((received, at)) = lane.receive(&mut memory) else { continue };
                // The system may hand out several datagrams of one length at once.
                for datagram in memory[..received.len].chunks(received.stride.max(1)) {
                    let _ = lane.to.send(datagram);
                    let len = u16::try_from(datagram.len()).unwrap_or(u16::MAX);
                    sightings.push(Sighting { at, direction: lane.direction, len });
                }
            }
        };
        self.threads.push(thread::Builder::new().name("relay".into()).spawn(run)?);
        Ok(())
    }

    /// The address a client finds the server at.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What has passed.
    pub(crate) fn sightings(&self) -> Sightings {
        self.sightings.clone()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// One direction of a relay.
struct Lane {
    from: Arc<UdpSocket>,
    to: Arc<UdpSocket>,
    state: UdpSocketState,
    direction: Direction,
    clock: Clock,
}

impl Lane {
    fn new(from: Arc<UdpSocket>, to: Arc<UdpSocket>, direction: Direction, clock: Clock) -> io::Result<Self> {
        let state = UdpSocketState::new((&*from).into())?;
        state.set_recv_buffer_size((&*from).into(), BUFFER)?;
        Ok(Self { from, to, state, direction, clock })
    }

    /// Waits a little for something to arrive, and tells when it did.
    fn receive(&self, memory: &mut [u8]) -> io::Result<(RecvMeta, Instant)> {
        poll(&mut [PollFd::new(&*self.from, PollFlags::IN)], Some(&LOOK))?;
        let mut received = [RecvMeta::default()];
        self.state.recv((&*self.from).into(), &mut [IoSliceMut::new(memory)], &mut received)?;
        let [received] = received;
        // The first to send is the client, and from then on the only one.
        if self.direction == Direction::Up && self.from.peer_addr().is_err() {
            self.from.connect(received.addr)?;
        }
        Ok((received, self.arrival(received.timestamp)))
    }

    /// When a datagram arrived: by the system's stamp where there is one, so that a relay that had to wait for a
    /// processor does not shift what it saw.
    #[expect(clippy::disallowed_methods, reason = "the stamps of the system are in wall time")]
    fn arrival(&self, stamp: Option<Duration>) -> Instant {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let ago = stamp.map_or(Duration::ZERO, |stamp| wall.saturating_sub(stamp));
        self.clock.now().saturating_sub(ago)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_datagram_is_forwarded_and_noted_with_its_length() {
        let server = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let relay = Relay::start(server.local_addr().unwrap(), Clock::new()).unwrap();
        let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        client.connect(relay.addr()).unwrap();
        let mut memory = [0; 4096];
        client.send(&[1; 1200]).unwrap();
        let (len, back) = server.recv_from(&mut memory).unwrap();
        assert_eq!(memory[..len], [1; 1200]);
        server.send_to(&[2; 7], back).unwrap();
        assert_eq!(client.recv(&mut memory).unwrap(), 7);
        client.send(&[3; 2000]).unwrap();
        server.recv(&mut memory).unwrap();
        let seen = relay.sightings();
        drop(relay);
        let mut seen = seen.with(|all| all.iter().map(|s| (s.direction, s.len)).collect::<Vec<_>>());
        seen.sort_by_key(|(_, len)| *len);
        assert_eq!(seen, [(Direction::Down, 7), (Direction::Up, 1200), (Direction::Up, 2000)]);
    }
}
