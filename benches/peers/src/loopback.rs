//! Messages through UDP sockets on loopback: how many, and what they cost both ends together.

use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use rustix::time::{ClockId, clock_gettime};

/// A message's length.
pub(crate) const MESSAGE: usize = 16 << 10;

/// How long nothing is counted.
const WARM_UP: Duration = Duration::from_millis(500);

/// What arrived.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Loopback {
    /// Bytes of messages, received.
    pub(crate) bytes: f64,
    /// In how long.
    pub(crate) seconds: f64,
    /// Of all threads of this process.
    pub(crate) cpu_seconds: f64,
}

/// Counts messages.
#[derive(Clone, Default)]
pub(crate) struct Received(Arc<AtomicU64>);

impl Received {
    pub(crate) fn add(&self, message: &[u8]) {
        assert!(message.len() == MESSAGE && message.iter().all(|&byte| byte == message[0]), "a message as it was sent");
        self.0.fetch_add(message.len() as u64, Ordering::Relaxed);
    }

    fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counts for a while what a running receiver adds.
pub(crate) async fn count(received: &Received, time: Duration) -> Result<Loopback> {
    tokio::time::sleep(WARM_UP).await;
    let before = (received.bytes(), clock(ClockId::Monotonic), clock(ClockId::ProcessCPUTime));
    tokio::time::sleep(time).await;
    let bytes = received.bytes() - before.0;
    ensure!(bytes > 0, "no message arrived");
    Ok(Loopback {
        bytes: bytes as f64,
        seconds: clock(ClockId::Monotonic).saturating_sub(before.1).as_secs_f64(),
        cpu_seconds: clock(ClockId::ProcessCPUTime).saturating_sub(before.2).as_secs_f64(),
    })
}

/// Both ends in this thread: two messages, cut into datagrams with so much text each, are sealed and sent, then all of
/// them received and opened.
pub(crate) fn tunnel(
    text: usize,
    mut seal: impl FnMut(&[u8], &mut [u8]) -> Result<usize>,
    mut open: impl FnMut(&[u8], &mut [u8]) -> Result<usize>,
    time: Duration,
) -> Result<Loopback> {
    const AT_ONCE: usize = 2;
    let [from, to] = [UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?];
    from.connect(to.local_addr()?)?;
    // A datagram that is lost is an error, not a wait without an end.
    to.set_read_timeout(Some(Duration::from_secs(1)))?;
    let (message, mut datagram, mut opened) = ([7; MESSAGE], [0; 2048], [0; 2048]);
    let received = Received::default();
    let mut start: Option<(u64, Duration, Duration)> = None;
    let begin = clock(ClockId::Monotonic);
    let mut arrived = Vec::with_capacity(MESSAGE + text);
    loop {
        for _ in 0..AT_ONCE {
            for part in message.chunks(text) {
                let length = seal(part, &mut datagram)?;
                from.send(&datagram[..length])?;
            }
        }
        for _ in 0..AT_ONCE {
            arrived.clear();
            while arrived.len() < MESSAGE {
                let length = to.recv(&mut datagram)?;
                let length = open(&datagram[..length], &mut opened)?;
                arrived.extend_from_slice(&opened[..length]);
            }
            received.add(&arrived);
        }
        let now = clock(ClockId::Monotonic);
        match start {
            None if now.saturating_sub(begin) >= WARM_UP => {
                start = Some((received.bytes(), now, clock(ClockId::ProcessCPUTime)));
            }
            Some((bytes, start, cpu)) if now.saturating_sub(start) >= time => {
                return Ok(Loopback {
                    bytes: (received.bytes() - bytes) as f64,
                    seconds: now.saturating_sub(start).as_secs_f64(),
                    cpu_seconds: clock(ClockId::ProcessCPUTime).saturating_sub(cpu).as_secs_f64(),
                });
            }
            _ => {}
        }
    }
}

fn clock(id: ClockId) -> Duration {
    let time = clock_gettime(id);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}
