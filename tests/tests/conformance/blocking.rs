//! The adapter whose calls block.

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use b4ae_blocking::{RecvTimeoutError, SendTimeoutError, TimeoutError, TryRecvError, TrySendError};
use b4ae_core::{MessageId, Mode, ModePolicy, PeerId, PeerUri, SessionStats};
use b4ae_tokio::{BindError, Closed, ConnectError, EndpointConfig, EndpointStats, SendError, Stopped};
use rustix::time::{ClockId, clock_gettime};

use crate::driver::{Driver, Endpoint, Peer, Wait, Waited};

pub(crate) struct Blocking;

impl Driver for Blocking {
    fn bind(&self, config: EndpointConfig) -> Result<Box<dyn Endpoint>, BindError> {
        Ok(Box::new(b4ae_blocking::Endpoint::bind(config)?))
    }

    fn has_own_thread(&self) -> bool {
        true
    }

    /// There is none.
    fn end_executor(&self) {}
}

/// The time there is for a call; `None` when it is not to be made at all.
fn limit(wait: Wait) -> Option<Duration> {
    match wait {
        Wait::Long => Some(Wait::LONG),
        Wait::For(limit) => Some(limit),
        Wait::Polls(polls) => Some(Wait::GAP * polls.checked_sub(1)?),
    }
}

fn waited<T, E>(result: Result<T, TimeoutError<E>>) -> Waited<Result<T, E>> {
    match result {
        Ok(value) => Some(Ok(value)),
        Err(TimeoutError::Failed(error)) => Some(Err(error)),
        Err(_) => None,
    }
}

fn boxed(peer: b4ae_blocking::Peer) -> Box<dyn Peer> {
    Box::new(peer)
}

impl Endpoint for b4ae_blocking::Endpoint {
    fn connect(
        &self,
        uri: &PeerUri,
        modes: Option<ModePolicy>,
        wait: Wait,
    ) -> Waited<Result<Box<dyn Peer>, ConnectError>> {
        let limit = limit(wait)?;
        let connected = match modes {
            Some(modes) => waited(self.connect_with_timeout(uri, modes, limit))?,
            None => waited(self.connect_timeout(uri, limit))?,
        };
        Some(connected.map(boxed))
    }

    fn accept(&self, wait: Wait) -> Waited<Result<Box<dyn Peer>, Stopped>> {
        Some(
            match limit(wait)? {
                Duration::ZERO => self.try_accept().transpose()?,
                limit => waited(self.accept_timeout(limit))?,
            }
            .map(boxed),
        )
    }

    /// Takes no longer than `flush`, and has no other limit.
    fn close(&self, flush: Duration, wait: Wait) -> Waited<()> {
        limit(wait)?;
        self.close(flush);
        Some(())
    }

    fn local_addr(&self) -> SocketAddr {
        self.local_addr()
    }

    fn peer_id(&self) -> PeerId {
        self.peer_id()
    }

    fn uri(&self, host: &str) -> PeerUri {
        self.uri(host)
    }

    fn stats(&self) -> EndpointStats {
        self.stats()
    }

    fn another(&self) -> Box<dyn Endpoint> {
        Box::new(self.clone())
    }
}

/// How often this thread went to sleep, and milliseconds for which it ran.
fn runs() -> u64 {
    let status = fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    let count = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    let used = clock_gettime(ClockId::ThreadCPUTime);
    let millis = used.tv_sec * 1000 + used.tv_nsec / 1_000_000;
    count.and_then(|count| count.trim().parse::<u64>().ok()).unwrap_or(0) + millis.cast_unsigned()
}

impl Peer for b4ae_blocking::Peer {
    fn send(&self, message: Vec<u8>, wait: Wait) -> Waited<Result<MessageId, SendError>> {
        let kept = message.clone();
        match limit(wait)? {
            Duration::ZERO => match self.try_send(message) {
                Ok(id) => Some(Ok(id)),
                Err(TrySendError::Failed(error)) => Some(Err(error)),
                Err(TrySendError::Full(back)) => {
                    assert_eq!(back, kept, "the message comes back");
                    None
                }
                Err(other) => panic!("{other}"),
            },
            limit => match self.send_timeout(message, limit) {
                Ok(id) => Some(Ok(id)),
                Err(SendTimeoutError::Failed(error)) => Some(Err(error)),
                Err(SendTimeoutError::Timeout(back)) => {
                    assert_eq!(back, kept, "the message comes back");
                    None
                }
                Err(other) => panic!("{other}"),
            },
        }
    }

    fn recv(&self, wait: Wait) -> Waited<Result<Vec<u8>, Closed>> {
        match limit(wait)? {
            Duration::ZERO => match self.try_recv() {
                Ok(message) => Some(Ok(message)),
                Err(TryRecvError::Closed(end)) => Some(Err(end)),
                Err(_) => None,
            },
            limit => match self.recv_timeout(limit) {
                Ok(message) => Some(Ok(message)),
                Err(RecvTimeoutError::Closed(end)) => Some(Err(end)),
                Err(_) => None,
            },
        }
    }

    fn recv_counted(&self, wait: Wait) -> (Waited<Result<Vec<u8>, Closed>>, u64) {
        let before = runs();
        let received = Peer::recv(self, wait);
        (received, runs() - before)
    }

    fn delivered(&self, id: MessageId, wait: Wait) -> Waited<Result<(), Closed>> {
        waited(self.delivered_timeout(id, limit(wait)?))
    }

    fn flush(&self, wait: Wait) -> Waited<Result<(), Closed>> {
        waited(self.flush_timeout(limit(wait)?))
    }

    fn close(&self, wait: Wait) -> Waited<()> {
        self.close_timeout(limit(wait)?).then_some(())
    }

    fn closed(&self, wait: Wait) -> Waited<Closed> {
        self.closed_timeout(limit(wait)?)
    }

    fn stats(&self) -> SessionStats {
        self.stats()
    }

    fn peer_id(&self) -> PeerId {
        self.peer_id()
    }

    fn mode(&self) -> Mode {
        self.mode()
    }

    fn remote_addr(&self) -> SocketAddr {
        self.remote_addr()
    }

    fn another(&self) -> Box<dyn Peer> {
        Box::new(self.clone())
    }
}
