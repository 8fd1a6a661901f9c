//! The core on a device without an operating system, played on one that has one.
//!
//! [`device`] uses `core` and `alloc` alone. Its heap is a static array of a size that was settled beforehand, its
//! datagrams live in another, and everything else it needs is a [`Board`]. This program is such a board: a UDP socket
//! for a radio, the system's clock, and readings that are made up. `tests/bare` in the repository runs the same core on
//! an emulated Cortex-M4F.

mod device;

use std::net::{SocketAddr, ToSocketAddrs as _, UdpSocket};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use b4ae_core::{Clock, Instant, PeerUri, Seed, UnixTime};
use b4ae_examples::entropy;
use clap::Parser;
use talc::TalcLock;
use talc::source::Claim;

use crate::device::{Board, Device, HEAP_LEN};

static mut ARENA: [u8; HEAP_LEN] = [0; HEAP_LEN];

/// All the memory there is, this program's own needs included.
#[global_allocator]
#[expect(unsafe_code, reason = "there is no safe way to hand an allocator its memory")]
static HEAP: TalcLock<spin::Mutex<()>, Claim> = {
    // SAFETY: nothing else uses the array.
    TalcLock::new(unsafe { Claim::array(&raw mut ARENA) })
};

/// A sensor that reports to a node.
#[derive(Debug, Parser)]
#[command(name = "embedded")]
struct Options {
    /// The node's address, as `b4ae serve` prints it
    uri: PeerUri,
    /// How many readings to report
    #[arg(long, default_value_t = 3)]
    readings: u32,
}

fn main() -> Result<()> {
    let Options { uri, readings } = Options::parse();
    let node = (uri.host.as_str(), uri.port).to_socket_addrs().with_context(|| uri.host.clone())?.next();
    let node = node.with_context(|| format!("{} has no address", uri.host))?;
    let mut board = Desk::new(node)?;
    let mut device = Device::start(&mut board, node, uri.peer)?;
    for n in 0..readings {
        device.report(&mut board, n)?;
    }
    device.stop(&mut board)?;
    // Printing allocates, and must not find the heap locked.
    let used = HEAP.lock().counters().allocated_bytes;
    println!("{readings} readings delivered; {used} of {HEAP_LEN} bytes of heap in use");
    Ok(())
}

/// A board that is a process on somebody's desk.
struct Desk {
    radio: UdpSocket,
    clock: Clock,
}

impl Desk {
    fn new(node: SocketAddr) -> Result<Self> {
        let any = if node.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let radio = UdpSocket::bind(any).context("binding a UDP port")?;
        radio.set_nonblocking(true)?;
        Ok(Self { radio, clock: Clock::new() })
    }
}

impl Board for Desk {
    fn now(&self) -> Instant {
        self.clock.now()
    }

    fn wall(&self) -> UnixTime {
        Clock::wall()
    }

    fn seed(&mut self) -> Option<Seed> {
        entropy().ok().map(|bytes| Seed::new(*bytes))
    }

    fn transmit(&mut self, to: SocketAddr, datagram: &[u8]) {
        // What the radio loses is lost.
        let _ = self.radio.send_to(datagram, to);
    }

    fn receive(&mut self, into: &mut [u8]) -> Option<(usize, SocketAddr)> {
        self.radio.recv_from(into).ok()
    }

    fn sleep(&mut self, until: Instant) {
        // A radio would wake us; this one is looked at each millisecond.
        thread::sleep(until.saturating_since(self.now()).min(Duration::from_millis(1)));
    }
}
