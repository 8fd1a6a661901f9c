//! The application's end of an endpoint.

use std::fmt;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use b4ae_core::{CloseReason, ModePolicy, Path, PeerId, PeerUri};

use crate::mailbox::{Connect, Mailbox, NotTaken};
use crate::peer::Shared;
use crate::peer_handle::PeerHandle;
use crate::sync::lock;
use crate::{ConnectError, EndpointStats, Peer, Stopped, address};

/// A handle of an endpoint. Clone freely; when the last clone is dropped, the endpoint closes its sessions, gives what
/// is queued a limited time to be confirmed, and stops.
///
/// Every `poll_*` may be called from any task, and dropping the future around it loses nothing.
#[derive(Clone)]
pub struct Handle(Arc<Owner>);

/// Counts the handles.
struct Owner {
    mailbox: Arc<Mailbox>,
    flush_on_drop: Duration,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.mailbox.request_stop(self.flush_on_drop);
    }
}

impl Handle {
    pub(crate) fn new(mailbox: Arc<Mailbox>, flush_on_drop: Duration) -> Self {
        Self(Arc::new(Owner { mailbox, flush_on_drop }))
    }

    fn mailbox(&self) -> &Arc<Mailbox> {
        &self.0.mailbox
    }

    /// Begins a session with `peer` at `addr`, offering `modes`; [`PeerHandle::poll_established`] tells the outcome.
    pub fn connect(&self, addr: SocketAddr, peer: &PeerId, modes: ModePolicy) -> Result<PeerHandle, ConnectError> {
        let path = Path::new(addr, None);
        let shared = Arc::new(Shared::new(Arc::clone(self.mailbox()), path.remote(), None));
        // Made first, so that a request that is not taken has no handle and one that is taken is never without.
        let handle = PeerHandle::new(Arc::clone(&shared));
        match self.mailbox().push_connect(Connect { shared, path, peer: *peer, modes }) {
            Ok(()) => Ok(handle),
            Err(NotTaken::Full) => Err(ConnectError::Core(b4ae_core::ConnectError::Full)),
            Err(NotTaken::Stopped) => Err(ConnectError::Stopped(Stopped)),
        }
    }

    /// Opens a session with the peer that `uri` names, trying each of `found`, the addresses its host has, and waits
    /// until the peer has proved to hold its keys. Dropping the future gives the attempt up.
    pub async fn open(&self, uri: &PeerUri, found: Vec<SocketAddr>, modes: ModePolicy) -> Result<Peer, ConnectError> {
        let mut failure = ConnectError::Failed(CloseReason::Unreachable);
        for addr in address::reachable(&uri.host, found, self.local_addr())? {
            let peer = self.connect(addr, &uri.peer, modes)?;
            match poll_fn(|cx| peer.poll_established(cx)).await {
                Ok(()) => return Peer::new(peer).ok_or(failure),
                // Whoever is at this address need not be who is at the next, and it may have been a forger's answer
                // that there was no signature for in time.
                Err(ConnectError::Failed(
                    reason @ (CloseReason::Unreachable | CloseReason::HandshakeFailed | CloseReason::SignerFailed),
                )) => failure = ConnectError::Failed(reason),
                Err(e) => return Err(e),
            }
        }
        Err(failure)
    }

    /// The next session a peer opened. Cancel-safe: dropping the future loses no session.
    pub async fn accept(&self) -> Result<Peer, Stopped> {
        loop {
            let peer = poll_fn(|cx| self.poll_accept(cx)).await?;
            if let Some(peer) = Peer::new(peer) {
                return Ok(peer);
            }
        }
    }

    /// The next session a peer opened.
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<Result<PeerHandle, Stopped>> {
        let mut state = lock(&self.mailbox().state);
        if let Some(shared) = state.backlog.pop_front() {
            return Poll::Ready(Ok(PeerHandle::new(shared)));
        }
        if state.stopped {
            return Poll::Ready(Err(Stopped));
        }
        let spill = state.accepters.register(cx.waker());
        drop(state);
        spill.wake();
        Poll::Pending
    }

    /// The modes the configuration offers.
    pub fn offered(&self) -> ModePolicy {
        self.mailbox().offer
    }

    /// The address the socket is bound to.
    pub fn local_addr(&self) -> SocketAddr {
        self.mailbox().local
    }

    /// Our own fingerprint.
    pub fn peer_id(&self) -> PeerId {
        self.mailbox().peer_id
    }

    /// What a peer connects with, `host` being a name or address of this machine that the peer can reach.
    pub fn uri(&self, host: &str) -> PeerUri {
        PeerUri { host: host.to_owned(), port: self.local_addr().port(), peer: self.peer_id() }
    }

    /// This endpoint's numbers.
    pub fn stats(&self) -> EndpointStats {
        let mailbox = self.mailbox();
        let (metrics, pacing) = {
            let state = lock(&mailbox.state);
            (state.metrics, state.pacing.clone())
        };
        let (counters, lateness) = (&mailbox.counters, mailbox.lateness.snapshot());
        EndpointStats {
            metrics,
            lateness_p50: lateness.quantile(0.5),
            lateness_p99: lateness.quantile(0.99),
            lateness_max: lateness.max(),
            lateness,
            slots_sent: counters.slots_sent.get(),
            slots_skipped: counters.slots_skipped.get() + metrics.slots_skipped,
            pacing,
            tick: counters.timing.tick.get().copied(),
            spin: counters.timing.spin.get().copied().unwrap_or_default(),
            launch_times: counters.timing.launch_times(),
            send_errors: counters.send_errors.get(),
            receive_errors: counters.receive_errors.get(),
            job_panics: counters.job_panics.get(),
            wakes: counters.wakes.get(),
        }
    }

    /// Asks the endpoint to close every session and stop; what is not confirmed after `flush` is abandoned. Of several
    /// requests the most impatient counts.
    pub fn stop(&self, flush: Duration) {
        self.mailbox().request_stop(flush);
    }

    /// Closes every session gracefully, stops the endpoint and waits until its socket is closed. What is not confirmed
    /// after `flush` is abandoned. Begun even if the future is dropped after its first poll.
    pub async fn close(&self, flush: Duration) {
        self.stop(flush);
        poll_fn(|cx| self.poll_stopped(cx)).await;
    }

    /// Waits until the endpoint has stopped and its socket is closed.
    pub fn poll_stopped(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = lock(&self.mailbox().state);
        if state.stopped {
            return Poll::Ready(());
        }
        let spill = state.stop_watchers.register(cx.waker());
        drop(state);
        spill.wake();
        Poll::Pending
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("local", &self.local_addr()).field("peer_id", &self.peer_id()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::OnceLock;
    use std::task::Waker;

    use b4ae_core::{
        Accept, Config, Identity, ML_DSA_PUBLIC_KEY_LEN, ML_DSA_SIGNATURE_LEN, Secret, SignError, Signer,
        SoftwareSigner, Traffic,
    };

    use super::*;
    use crate::{Driver, EndpointConfig, thread};

    /// Does not sign before somebody knocks at an endpoint.
    struct Token {
        signer: SoftwareSigner,
        endpoint: OnceLock<Handle>,
    }

    impl Signer for Token {
        fn public_key(&self) -> &[u8; ML_DSA_PUBLIC_KEY_LEN] {
            self.signer.public_key()
        }

        fn sign(
            &self,
            message: &[u8; 64],
            randomness: &[u8; 32],
            signature: &mut [u8; ML_DSA_SIGNATURE_LEN],
        ) -> Result<(), SignError> {
            if self.endpoint.get().is_none_or(|endpoint| endpoint.stats().metrics.challenges_sent == 0) {
                return Err(SignError);
            }
            self.signer.sign(message, randomness, signature)
        }
    }

    fn bind(n: u8, signer: Arc<dyn Signer>) -> Handle {
        let config = Config::builder(Traffic::constant(Duration::from_millis(5)))
            .accept(Accept::Anyone(ModePolicy::B))
            .handshake_timeout(Duration::from_secs(3));
        let identity = Identity::with_signer(&Secret::new([n; 32]), signer);
        let config = EndpointConfig::new(identity, config.build().expect("a valid configuration"));
        let config = config.listen("127.0.0.1:0".parse().expect("an address"));
        let (driver, handle) = Driver::bind(config).expect("loopback can be bound");
        thread::spawn(driver, false).expect("a thread can be started");
        handle
    }

    #[test]
    fn a_signature_that_was_not_made_for_one_address_may_be_for_the_next() {
        let software = || SoftwareSigner::new(&Secret::new([9; 32]));
        let [first, second] = [1, 1].map(|n| bind(n, Arc::new(software())));
        let token = Arc::new(Token { signer: software(), endpoint: OnceLock::new() });
        let client = bind(2, Arc::clone(&token) as Arc<dyn Signer>);
        assert!(token.endpoint.set(second.clone()).is_ok());

        let found = vec![first.local_addr(), second.local_addr()];
        let uri = first.uri("localhost");
        let mut opening = pin!(client.open(&uri, found, ModePolicy::B));
        let opened = loop {
            if let Poll::Ready(opened) = opening.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                break opened;
            }
            std::thread::sleep(Duration::from_millis(1));
        };
        let peer = opened.expect("the second address has the peer, and the token signs by then");
        assert_eq!(peer.remote_addr(), second.local_addr());
        assert!(client.stats().metrics.signatures_failed > 0, "the signer was asked at the first");
    }
}
