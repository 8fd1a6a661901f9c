//! One client: its socket towards the server and its two lanes.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::dice::Direction;
use crate::lane::Lane;
use crate::record::{Book, Totals};

/// The longest payload UDP can carry.
pub(crate) const MAX_DATAGRAM: usize = 65_535;

pub(crate) struct Client {
    pub(crate) number: u32,
    pub(crate) address: SocketAddr,
    pub(crate) listener: Arc<UdpSocket>,
    pub(crate) upstream: UdpSocket,
    pub(crate) up: Lane,
    pub(crate) down: Lane,
    pub(crate) idle: Duration,
    pub(crate) book: Book,
}

/// A datagram from the client, and when it came.
pub(crate) type Arrival = (Instant, Vec<u8>);

impl Client {
    /// Carries datagrams until the client has been idle for long, or the proxy stops.
    pub(crate) async fn run(mut self, mut arrivals: mpsc::Receiver<Arrival>) {
        let mut buffer = vec![0; MAX_DATAGRAM];
        let mut idle_at = Instant::now() + self.idle;
        loop {
            let release = [self.up.next_release(), self.down.next_release()].into_iter().flatten().min();
            tokio::select! {
                arrival = arrivals.recv() => {
                    let Some((at, datagram)) = arrival else { return };
                    idle_at = at + self.idle;
                    self.book.count(Direction::Up, self.up.push(at, &datagram));
                }
                received = self.upstream.recv(&mut buffer) => {
                    let now = Instant::now();
                    match received {
                        Ok(len) => {
                            idle_at = now + self.idle;
                            self.book.see(now, Direction::Down, self.number, len);
                            self.book.count(Direction::Down, self.down.push(now, &buffer[..len]));
                        }
                        Err(_) => self.book.count(Direction::Down, Totals { receive_errors: 1, ..Totals::default() }),
                    }
                }
                () = sleep_until(release.unwrap_or(idle_at)) => {
                    if release.is_none() && Instant::now() >= idle_at && arrivals.is_empty() {
                        return;
                    }
                }
            }
            self.release().await;
        }
    }

    async fn release(&mut self) {
        let now = Instant::now();
        while let Some(datagram) = self.up.pop(now) {
            self.sent(Direction::Up, &self.upstream.send(&datagram).await);
        }
        while let Some(datagram) = self.down.pop(now) {
            self.sent(Direction::Down, &self.listener.send_to(&datagram, self.address).await);
        }
    }

    fn sent(&self, direction: Direction, result: &io::Result<usize>) {
        let done = match result {
            Ok(_) => Totals { sent: 1, ..Totals::default() },
            Err(_) => Totals { send_errors: 1, ..Totals::default() },
        };
        self.book.count(direction, done);
    }
}
