//! The proxy: a socket for clients, and a task for each of them.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use crate::client::{Arrival, Client, MAX_DATAGRAM};
use crate::dice::Direction;
use crate::impairment::{Impairment, Invalid};
use crate::lane::Lane;
use crate::record::{Book, Counters, Seen, Totals};

/// How a [`Proxy`] is set up.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Options {
    /// Where clients send to; port 0 for any free port. An address rather than a wildcard, so that answers come from
    /// the address that was asked.
    pub listen: SocketAddr,
    /// The server.
    pub to: SocketAddr,
    /// Decides every datagram's fate.
    pub seed: u64,
    /// What happens on the way to the server.
    pub up: Impairment,
    /// What happens on the way back.
    pub down: Impairment,
    /// Clients at once. Default 256; the datagrams of others are refused.
    pub clients: usize,
    /// Bytes that may wait per client and direction, each datagram counted as 64 more than its payload. Default 4 MiB.
    pub queue_bytes: usize,
    /// How long without a datagram until a client is forgotten. Default 60 s.
    pub idle: Duration,
    /// How many datagrams to record until [`Proxy::take_seen`]. Default 0.
    pub record: usize,
}

impl Options {
    /// A proxy from `listen` to `to` that changes nothing.
    pub fn new(listen: SocketAddr, to: SocketAddr, seed: u64) -> Self {
        Self {
            listen,
            to,
            seed,
            up: Impairment::default(),
            down: Impairment::default(),
            clients: 256,
            queue_bytes: 4 << 20,
            idle: Duration::from_secs(60),
            record: 0,
        }
    }
}

/// Why a proxy did not start.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// An impairment makes no sense.
    Invalid(Invalid),
    /// The listening socket could not be had.
    Listen(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(e) => e.fmt(f),
            Self::Listen(e) => write!(f, "cannot listen: {e}"),
        }
    }
}

impl std::error::Error for StartError {}

impl From<Invalid> for StartError {
    fn from(e: Invalid) -> Self {
        Self::Invalid(e)
    }
}

/// A running proxy. Stops when dropped.
pub struct Proxy {
    local: SocketAddr,
    book: Book,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy").field("local", &self.local).finish_non_exhaustive()
    }
}

impl Proxy {
    /// Starts a proxy on the current Tokio runtime.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        options.up.check()?;
        options.down.check()?;
        let listener = UdpSocket::bind(options.listen).await.map_err(StartError::Listen)?;
        let local = listener.local_addr().map_err(StartError::Listen)?;
        let book = Book::new(Instant::now(), options.record);
        let (stop, stopped) = oneshot::channel();
        let server = Server {
            options,
            listener: Arc::new(listener),
            book: book.clone(),
            clients: HashMap::new(),
            tasks: JoinSet::new(),
        };
        let task = tokio::spawn(server.run(stopped));
        Ok(Self { local, book, stop: Some(stop), task })
    }

    /// The address clients send to.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// The counters so far.
    pub fn counters(&self) -> Counters {
        self.book.counters()
    }

    /// What has been recorded since the last call, in order of arrival; makes room for as much again.
    pub fn take_seen(&self) -> Vec<Seen> {
        self.book.take_seen()
    }

    /// Stops, dropping what waits, and returns the final counters. The port is free afterwards.
    pub async fn stop(mut self) -> Counters {
        if let Some(stop) = self.stop.take() {
            // An error means that the task is gone already.
            let _ = stop.send(());
        }
        let _ = (&mut self.task).await;
        self.counters()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Datagrams on their way from the listening task to a client's.
const HANDOVER: usize = 1024;

struct Server {
    options: Options,
    listener: Arc<UdpSocket>,
    book: Book,
    clients: HashMap<SocketAddr, Handle>,
    tasks: JoinSet<()>,
}

/// The way to a client's task.
struct Handle {
    number: u32,
    sender: mpsc::Sender<Arrival>,
}

impl Server {
    async fn run(mut self, mut stopped: oneshot::Receiver<()>) {
        let mut buffer = vec![0; MAX_DATAGRAM];
        loop {
            tokio::select! {
                received = self.listener.recv_from(&mut buffer) => match received {
                    Ok((len, from)) => self.arrived(from, &buffer[..len]).await,
                    Err(_) => self.book.count(Direction::Up, Totals { receive_errors: 1, ..Totals::default() }),
                },
                _ = &mut stopped => break,
            }
        }
        self.tasks.shutdown().await;
    }

    async fn arrived(&mut self, from: SocketAddr, datagram: &[u8]) {
        let now = Instant::now();
        let mut arrival = (now, datagram.to_vec());
        if let Some(Handle { number, sender }) = self.clients.get(&from) {
            match sender.try_send(arrival) {
                Ok(()) => return self.book.see(now, Direction::Up, *number, datagram.len()),
                Err(TrySendError::Full(_)) => {
                    self.book.see(now, Direction::Up, *number, datagram.len());
                    let received_bytes = datagram.len() as u64;
                    let done = Totals { received: 1, received_bytes, overflowed: 1, ..Totals::default() };
                    return self.book.count(Direction::Up, done);
                }
                Err(TrySendError::Closed(back)) => arrival = back,
            }
        }
        let Some((number, sender)) = self.admit(from, now).await else { return self.book.refuse() };
        // A fresh channel has room.
        let _ = sender.try_send(arrival);
        self.book.see(now, Direction::Up, number, datagram.len());
    }

    /// Sets up a client, if there is room for one more.
    async fn admit(&mut self, address: SocketAddr, now: Instant) -> Option<(u32, mpsc::Sender<Arrival>)> {
        self.clients.retain(|_, client| !client.sender.is_closed());
        while self.tasks.try_join_next().is_some() {}
        if self.clients.len() >= self.options.clients {
            return None;
        }
        let any: SocketAddr = match self.options.to {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let upstream = UdpSocket::bind(any).await.ok()?;
        upstream.connect(self.options.to).await.ok()?;
        let number = self.book.new_client();
        let Options { seed, queue_bytes, ref up, ref down, .. } = self.options;
        let client = Client {
            number,
            address,
            listener: self.listener.clone(),
            upstream,
            up: Lane::new(up, seed, number, Direction::Up, queue_bytes, now),
            down: Lane::new(down, seed, number, Direction::Down, queue_bytes, now),
            idle: self.options.idle,
            book: self.book.clone(),
        };
        let (sender, arrivals) = mpsc::channel(HANDOVER);
        self.tasks.spawn(client.run(arrivals));
        self.clients.insert(address, Handle { number, sender: sender.clone() });
        Some((number, sender))
    }
}
