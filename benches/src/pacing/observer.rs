//! Somebody on the path: passes datagrams on, and notes when the kernel received each.

use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, Result};
use quinn_udp::{RecvMeta, Transmit, UdpSocketState};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// The most the kernel coalesces.
const BUFFER: usize = 1 << 16;

/// A relay between a client and a server, on its own thread.
pub(crate) struct Observer {
    addr: SocketAddr,
    watching: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<io::Result<Vec<Duration>>>,
}

impl Observer {
    /// Between `server` and whoever sends here first.
    pub(crate) fn before(server: SocketAddr) -> Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0").context("loopback cannot be bound")?;
        let state = UdpSocketState::new((&socket).into())?;
        let (watching, stop) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let relay = Relay { socket, state, server, watching: Arc::clone(&watching), stop: Arc::clone(&stop) };
        Ok(Self { addr: relay.socket.local_addr()?, watching, stop, thread: thread::spawn(move || relay.run()) })
    }

    /// Where the client has to send.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Begins, or ends, to note when the client's datagrams arrive.
    pub(crate) fn watch(&self, on: bool) {
        self.watching.store(on, Ordering::Relaxed);
    }

    /// The times noted, by the kernel's clock, in order.
    pub(crate) fn finish(self) -> Result<Vec<Duration>> {
        self.stop.store(true, Ordering::Relaxed);
        let times = self.thread.join().map_err(|_| anyhow::anyhow!("the observer panicked"))??;
        Ok(times)
    }
}

struct Relay {
    socket: UdpSocket,
    state: UdpSocketState,
    server: SocketAddr,
    watching: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
}

impl Relay {
    fn run(self) -> io::Result<Vec<Duration>> {
        let mut buffers = vec![0; quinn_udp::BATCH_SIZE * BUFFER];
        let mut metas = vec![RecvMeta::default(); quinn_udp::BATCH_SIZE];
        let (mut times, mut client) = (Vec::new(), None);
        while !self.stop.load(Ordering::Relaxed) {
            // In time to see that it is to stop.
            let limit = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
            poll(&mut [PollFd::new(&self.socket, PollFlags::IN)], Some(&limit))?;
            let mut slices: Vec<_> = buffers.chunks_exact_mut(BUFFER).map(IoSliceMut::new).collect();
            let count = match self.state.recv((&self.socket).into(), &mut slices, &mut metas) {
                Ok(count) => count,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => continue,
                Err(e) => return Err(e),
            };
            for (slice, meta) in slices.iter().zip(&metas).take(count) {
                let from_server = meta.addr == self.server;
                if !from_server {
                    client = Some(meta.addr);
                    let arrivals = meta.len.div_ceil(meta.stride.max(1));
                    if self.watching.load(Ordering::Relaxed)
                        && let Some(time) = meta.timestamp
                    {
                        times.extend(std::iter::repeat_n(time, arrivals));
                    }
                }
                let Some(destination) = (if from_server { client } else { Some(self.server) }) else { continue };
                let segment_size = (meta.len > meta.stride).then_some(meta.stride);
                let contents = &slice[..meta.len];
                let pass = Transmit { destination, ecn: None, contents, segment_size, src_ip: None };
                // What does not fit is lost, as on any path.
                let _ = self.state.try_send((&self.socket).into(), &pass);
            }
        }
        Ok(times)
    }
}
