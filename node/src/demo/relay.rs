//! The observer: a relay on each link that forwards datagrams between two sockets and notes when each came, which way
//! it went and how long it was. It holds no keys and knows nothing of the protocol.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use b4ae_core::{Clock, Instant};

/// Room for a datagram. A longer one would be cut, and still be noticed as too long.
const MEMORY: usize = 2048;
/// How often a waiting relay looks whether it should stop. Nothing is paced by it.
const LOOK: Duration = Duration::from_millis(100);

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
        let front = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let back = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        back.connect(server)?;
        for socket in [&front, &back] {
            socket.set_read_timeout(Some(LOOK))?;
        }
        let mut relay = Self {
            addr: front.local_addr()?,
            sightings: Sightings::default(),
            stop: Arc::default(),
            threads: Vec::new(),
        };
        let (front, back) = (Arc::new(front), Arc::new(back));
        relay.spawn(Lane { from: front.clone(), to: back.clone(), direction: Direction::Up }, clock)?;
        relay.spawn(Lane { from: back, to: front, direction: Direction::Down }, clock)?;
        Ok(relay)
    }

    fn spawn(&mut self, lane: Lane, clock: Clock) -> io::Result<()> {
        let (stop, sightings) = (self.stop.clone(), self.sightings.clone());
        let run = move || {
            let mut memory = [0; MEMORY];
            while !stop.load(Ordering::Relaxed) {
                // Loopback errors (a port that has just closed) are the network's business, not the relay's.
                if let Ok(len) = lane.receive(&mut memory) {
                    let at = clock.now();
                    let _ = lane.to.send(&memory[..len]);
                    let len = u16::try_from(len).unwrap_or(u16::MAX);
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
    direction: Direction,
}

impl Lane {
    fn receive(&self, memory: &mut [u8]) -> io::Result<usize> {
        let (len, from) = self.from.recv_from(memory)?;
        // The first to send is the client, and from then on the only one.
        if self.direction == Direction::Up && self.from.peer_addr().is_err() {
            self.from.connect(from)?;
        }
        Ok(len)
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
        // Noted after being passed on, so give the note its moment: another datagram is behind it.
        client.send(&[3; 2000]).unwrap();
        server.recv(&mut memory).unwrap();
        let seen = relay.sightings();
        drop(relay);
        let mut seen = seen.with(|all| all.iter().map(|s| (s.direction, s.len)).collect::<Vec<_>>());
        seen.sort_by_key(|(_, len)| *len);
        assert_eq!(seen, [(Direction::Down, 7), (Direction::Up, 1200), (Direction::Up, 2000)]);
    }
}
