//! A driver with a fault in it: everything goes through to a sound one but what the fault says.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use b4ae_core::{
    CloseReason, ML_DSA_PUBLIC_KEY_LEN, ML_DSA_SIGNATURE_LEN, MessageId, Mode, ModePolicy, PeerId, PeerUri,
    SessionStats, SignError, Signer,
};
use b4ae_tokio::{BindError, Closed, ConnectError, EndpointConfig, EndpointStats, SendError, Stopped};

use crate::bench::FLUSH;
use crate::driver::{Driver, Endpoint, Peer, Wait, Waited};

/// What is wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Fault {
    LosesMessages,
    DoublesMessages,
    ReordersMessages,
    TellsTheWrongMode,
    OffersModeAOnly,
    ConfirmsAtOnce,
    FlushesAtOnce,
    TakesEverything,
    LosesWhenFull,
    CutsLongMessages,
    HasDeafClones,
    ClosesWithAnyHandle,
    LosesOnRecvGivenUp,
    SendsThoughGivenUp,
    LosesOnAcceptGivenUp,
    ConnectsThoughGivenUp,
    StopsOnConnectGivenUp,
    ForgetsConfirmations,
    ForgetsToClose,
    HandsOutInSlotsAlone,
    ClosesWhenThereIsRoom,
    DropsWhenThereIsRoom,
    CutsOffOnDrop,
    CutsOffPeersOnDrop,
    KeepsTheSocket,
    KeepsAThread,
    NeverTellsTheEnd,
    ForgetsWhatEnded,
    TellsTheWrongEnd,
    BindsElsewhere,
    CountsNothing,
    StopsOnErrors,
    StopsWhenAPeerIsGone,
    CountsNoErrors,
    AsksNoFingerprint,
    MisnamesErrors,
    KnowsNoNames,
    ServesOneFamily,
    WakesOnSend,
    WakesNever,
    CountsNoSlots,
    WaitsBusily,
    WakesOne,
    HoldsEverybodyUp,
    HasOneLane,
    SignsInTheLoop,
    Spins,
}

use Fault::*;

/// What the properties wait for in vain comes sooner than on a sound driver.
const SOON: Duration = Duration::from_secs(1);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn shorter(wait: Wait) -> Wait {
    if wait == Wait::Long { Wait::For(SOON) } else { wait }
}

/// What a call comes to that never comes to anything.
fn never<T>(wait: Wait) -> Waited<T> {
    if let Wait::For(limit) = shorter(wait) {
        thread::sleep(limit);
    }
    None
}

pub(super) struct Faulty {
    inner: Box<dyn Driver>,
    fault: Fault,
    /// Everybody's fingerprint, by port.
    known: Arc<Mutex<Vec<(u16, PeerId)>>>,
    ended: Arc<AtomicBool>,
    /// Of the endpoint that is bound next: how many signatures are under way.
    signing: Mutex<Arc<AtomicUsize>>,
}

impl Faulty {
    pub(super) fn new(inner: Box<dyn Driver>, fault: Fault) -> Self {
        Self { inner, fault, known: Arc::default(), ended: Arc::default(), signing: Mutex::default() }
    }
}

impl Drop for Faulty {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
    }
}

impl Driver for Faulty {
    fn bind(&self, config: EndpointConfig) -> Result<Box<dyn Endpoint>, BindError> {
        let elsewhere = "127.0.0.1:0".parse().expect("an address");
        let inner = match self.fault {
            BindsElsewhere => self.inner.bind(config.clone()).or_else(|_| self.inner.bind(config.listen(elsewhere)))?,
            ServesOneFamily => self.inner.bind(config.listen("0.0.0.0:0".parse().expect("an address")))?,
            _ => self.inner.bind(config)?,
        };
        lock(&self.known).push((inner.local_addr().port(), inner.peer_id()));
        let ended = Arc::clone(&self.ended);
        match self.fault {
            KeepsTheSocket => {
                let kept = inner.another();
                thread::spawn(move || {
                    while !ended.load(Ordering::Relaxed) {
                        thread::sleep(Wait::GAP);
                    }
                    drop(kept);
                });
            }
            KeepsAThread => {
                let kept = thread::Builder::new().name(String::from("b4ae-kept")).spawn(move || {
                    while !ended.load(Ordering::Relaxed) {
                        thread::sleep(Wait::GAP);
                    }
                });
                drop(kept.expect("a thread"));
            }
            Spins => {
                // Several, so that they get a share of a busy machine as well.
                for _ in 0..4 {
                    let ended = Arc::clone(&ended);
                    thread::spawn(move || while !ended.load(Ordering::Relaxed) {});
                }
            }
            _ => {}
        }
        let shared = Arc::new(Shared {
            known: Arc::clone(&self.known),
            ended: Arc::clone(&self.ended),
            wakes: AtomicU64::new(0),
            busy: Mutex::new(()),
            signing: std::mem::take(&mut *lock(&self.signing)),
            stood_still: Mutex::new(None),
        });
        Ok(Box::new(FaultyEndpoint { inner: Arc::from(inner), fault: self.fault, shared }))
    }

    fn has_own_thread(&self) -> bool {
        self.inner.has_own_thread()
    }

    fn signer(&self, signer: Arc<dyn Signer>) -> Arc<dyn Signer> {
        Arc::new(Watched { signer, signing: Arc::clone(&lock(&self.signing)) })
    }

    fn end_executor(&self) {
        self.inner.end_executor();
    }
}

/// What an endpoint's handles and its peers share.
struct Shared {
    known: Arc<Mutex<Vec<(u16, PeerId)>>>,
    ended: Arc<AtomicBool>,
    wakes: AtomicU64,
    busy: Mutex<()>,
    signing: Arc<AtomicUsize>,
    /// The numbers of a loop that is at a signature.
    stood_still: Mutex<Option<EndpointStats>>,
}

impl Shared {
    fn is_signing(&self) -> bool {
        self.signing.load(Ordering::Relaxed) != 0
    }
}

/// Counts the signatures that are under way.
struct Watched {
    signer: Arc<dyn Signer>,
    signing: Arc<AtomicUsize>,
}

impl Signer for Watched {
    fn public_key(&self) -> &[u8; ML_DSA_PUBLIC_KEY_LEN] {
        self.signer.public_key()
    }

    fn sign(
        &self,
        message: &[u8; 64],
        randomness: &[u8; 32],
        signature: &mut [u8; ML_DSA_SIGNATURE_LEN],
    ) -> Result<(), SignError> {
        self.signing.fetch_add(1, Ordering::Relaxed);
        let signed = self.signer.sign(message, randomness, signature);
        self.signing.fetch_sub(1, Ordering::Relaxed);
        signed
    }
}

struct FaultyEndpoint {
    inner: Arc<dyn Endpoint>,
    fault: Fault,
    shared: Arc<Shared>,
}

impl FaultyEndpoint {
    fn peer(&self, inner: Box<dyn Peer>) -> Box<dyn Peer> {
        if self.fault == ForgetsWhatEnded {
            // A session that ended is there a moment later.
            thread::sleep(Duration::from_millis(20));
            if inner.closed(Wait::Polls(1)).is_some() {
                while let Some(Ok(_)) = inner.recv(Wait::Polls(1)) {}
            }
        }
        let endpoint = Arc::clone(&self.inner);
        let state = Arc::new(State::default());
        Box::new(FaultyPeer {
            inner,
            endpoint,
            fault: self.fault,
            shared: Arc::clone(&self.shared),
            state,
            clone: false,
        })
    }

    fn stop(&self) {
        _ = self.inner.close(Duration::ZERO, Wait::Polls(1));
    }
}

impl Drop for FaultyEndpoint {
    fn drop(&mut self) {
        if self.fault == CutsOffOnDrop || self.fault == ClosesWithAnyHandle {
            self.stop();
        }
    }
}

impl Endpoint for FaultyEndpoint {
    fn connect(
        &self,
        uri: &PeerUri,
        modes: Option<ModePolicy>,
        wait: Wait,
    ) -> Waited<Result<Box<dyn Peer>, ConnectError>> {
        let mut uri = uri.clone();
        let mut modes = modes;
        match self.fault {
            OffersModeAOnly => modes = modes.or(Some(ModePolicy::A)),
            AsksNoFingerprint => {
                let known = lock(&self.shared.known);
                uri.peer = known.iter().find(|(port, _)| *port == uri.port).map_or(uri.peer, |(_, peer)| *peer);
            }
            KnowsNoNames if uri.host == "localhost" => uri.host = String::from("peer.invalid"),
            _ => {}
        }
        if self.fault == HasOneLane && self.shared.is_signing() {
            // The job that makes its keys waits behind the signature. Without them nothing is said but Hello.
            let waited = (0..100).all(|_| {
                thread::sleep(Wait::GAP);
                self.shared.is_signing()
            });
            if waited {
                return Some(Err(ConnectError::Failed(CloseReason::Unreachable)));
            }
        }
        let _busy = (self.fault == HoldsEverybodyUp).then(|| lock(&self.shared.busy));
        let connected = self.inner.connect(&uri, modes, shorter(wait));
        match (self.fault, &connected) {
            (ConnectsThoughGivenUp, None) if wait != Wait::Polls(0) => {
                let inner = Arc::clone(&self.inner);
                thread::spawn(move || inner.connect(&uri, modes, Wait::For(FLUSH)));
                thread::sleep(Duration::from_millis(5));
            }
            (StopsOnConnectGivenUp, None) | (StopsOnErrors, Some(Err(_))) => self.stop(),
            (MisnamesErrors, Some(Err(_))) => return Some(Err(ConnectError::Failed(CloseReason::Unreachable))),
            _ => {}
        }
        Some(connected?.map(|peer| self.peer(peer)))
    }

    fn accept(&self, wait: Wait) -> Waited<Result<Box<dyn Peer>, Stopped>> {
        match self.inner.accept(shorter(wait)) {
            None if self.fault == LosesOnAcceptGivenUp => {
                _ = self.inner.accept(Wait::Polls(4));
                None
            }
            Some(Err(Stopped)) if self.fault == NeverTellsTheEnd => never(wait),
            accepted => Some(accepted?.map(|peer| self.peer(peer))),
        }
    }

    fn close(&self, flush: Duration, wait: Wait) -> Waited<()> {
        self.inner.close(flush, shorter(wait))
    }

    fn local_addr(&self) -> SocketAddr {
        self.inner.local_addr()
    }

    fn peer_id(&self) -> PeerId {
        self.inner.peer_id()
    }

    fn uri(&self, host: &str) -> PeerUri {
        self.inner.uri(host)
    }

    fn stats(&self) -> EndpointStats {
        let mut stats = self.inner.stats();
        match self.fault {
            CountsNothing => stats.metrics = b4ae_core::Metrics::default(),
            CountsNoErrors => stats.send_errors = 0,
            CountsNoSlots => stats.slots_sent = 0,
            WakesOnSend => stats.wakes += self.shared.wakes.load(Ordering::Relaxed),
            WakesNever => stats.wakes = 0,
            SignsInTheLoop if self.shared.is_signing() => {
                return lock(&self.shared.stood_still).get_or_insert(stats).clone();
            }
            _ => {}
        }
        stats
    }

    fn another(&self) -> Box<dyn Endpoint> {
        let (inner, shared) = (Arc::from(self.inner.another()), Arc::clone(&self.shared));
        Box::new(Self { inner, fault: self.fault, shared })
    }
}

/// What the handles of a peer share.
#[derive(Default)]
struct State {
    /// Received, and to be received again.
    again: Mutex<VecDeque<Vec<u8>>>,
    /// Sent, and still here.
    held: Mutex<VecDeque<Vec<u8>>>,
    calls: AtomicU64,
    gave_up: AtomicBool,
    receiving: Mutex<()>,
}

struct FaultyPeer {
    inner: Box<dyn Peer>,
    endpoint: Arc<dyn Endpoint>,
    fault: Fault,
    shared: Arc<Shared>,
    state: Arc<State>,
    clone: bool,
}

impl Drop for FaultyPeer {
    fn drop(&mut self) {
        if self.fault == CutsOffPeersOnDrop {
            _ = self.endpoint.close(Duration::ZERO, Wait::Polls(1));
        }
        if self.fault == DropsWhenThereIsRoom && self.is_full() {
            let (kept, ended) = (self.inner.another(), Arc::clone(&self.shared.ended));
            thread::spawn(move || {
                while !ended.load(Ordering::Relaxed) {
                    thread::sleep(Wait::GAP);
                }
                drop(kept);
            });
        }
    }
}

impl FaultyPeer {
    /// Whether there was no room for the last message.
    fn is_full(&self) -> bool {
        self.state.gave_up.load(Ordering::Relaxed)
    }

    /// The end as it is told.
    fn end(&self, end: Closed, wait: Wait) -> Waited<Closed> {
        match self.fault {
            NeverTellsTheEnd => never(wait),
            TellsTheWrongEnd => Some(Closed::Stopped(Stopped)),
            _ => Some(end),
        }
    }
}

impl Peer for FaultyPeer {
    fn send(&self, mut message: Vec<u8>, wait: Wait) -> Waited<Result<MessageId, SendError>> {
        let call = self.state.calls.fetch_add(1, Ordering::Relaxed);
        let pretended = Some(Ok(MessageId(call)));
        self.shared.wakes.fetch_add(1, Ordering::Relaxed);
        match self.fault {
            LosesMessages if call == 3 => return pretended,
            HasDeafClones if self.clone => return pretended,
            CutsLongMessages if message.len() > 2000 => message.truncate(2000),
            ReordersMessages if call.is_multiple_of(2) => {
                lock(&self.state.held).push_back(message);
                return pretended;
            }
            TakesEverything | LosesWhenFull => {
                if let Some(queued) = self.inner.send(message.clone(), Wait::Polls(1)) {
                    return Some(queued);
                }
                if self.fault == TakesEverything || call.is_multiple_of(8) {
                    return pretended;
                }
            }
            HoldsEverybodyUp => drop(lock(&self.shared.busy)),
            StopsWhenAPeerIsGone if message == b"lost" => _ = self.endpoint.close(Duration::ZERO, Wait::Polls(1)),
            _ => {}
        }
        let sent = self.inner.send(message.clone(), shorter(wait));
        if self.fault == ReordersMessages
            && let Some(held) = lock(&self.state.held).pop_front()
        {
            _ = self.inner.send(held, shorter(wait));
        }
        if sent.is_none() {
            self.state.gave_up.store(true, Ordering::Relaxed);
        }
        if self.fault == SendsThoughGivenUp && sent.is_none() {
            _ = self.inner.send(message, Wait::For(SOON));
        }
        sent
    }

    fn recv(&self, wait: Wait) -> Waited<Result<Vec<u8>, Closed>> {
        if let Some(again) = lock(&self.state.again).pop_front() {
            return Some(Ok(again));
        }
        if self.fault == HandsOutInSlotsAlone && self.endpoint.stats().metrics.sessions == 0 {
            return never(wait);
        }
        let _receiving = if self.fault == WakesOne {
            let Ok(first) = self.state.receiving.try_lock() else { return never(wait) };
            Some(first)
        } else {
            None
        };
        match self.inner.recv(shorter(wait)) {
            None if self.fault == LosesOnRecvGivenUp && matches!(wait, Wait::Polls(_)) => {
                // For longer than messages are apart: slots, too, keep a beat, and might miss a shorter wait each time.
                _ = self.inner.recv(Wait::Polls(40));
                None
            }
            Some(Ok(message)) => {
                if self.fault == DoublesMessages {
                    lock(&self.state.again).push_back(message.clone());
                }
                Some(Ok(message))
            }
            Some(Err(end)) => Some(Err(self.end(end, wait)?)),
            None => None,
        }
    }

    fn recv_counted(&self, wait: Wait) -> (Waited<Result<Vec<u8>, Closed>>, u64) {
        if self.fault != WaitsBusily {
            return self.inner.recv_counted(shorter(wait));
        }
        let mut runs = 0;
        for _ in 0..1000 {
            let (received, ran) = self.inner.recv_counted(Wait::Polls(1));
            runs += ran.max(1);
            if received.is_some() {
                return (received, runs);
            }
            thread::sleep(Wait::GAP);
        }
        (None, runs)
    }

    fn delivered(&self, id: MessageId, wait: Wait) -> Waited<Result<(), Closed>> {
        match self.fault {
            ConfirmsAtOnce => return Some(Ok(())),
            ForgetsConfirmations if self.state.gave_up.load(Ordering::Relaxed) => return never(wait),
            _ => {}
        }
        let confirmed = self.inner.delivered(id, shorter(wait));
        if confirmed.is_none() {
            self.state.gave_up.store(true, Ordering::Relaxed);
        }
        confirmed
    }

    fn flush(&self, wait: Wait) -> Waited<Result<(), Closed>> {
        if self.fault == FlushesAtOnce { Some(Ok(())) } else { self.inner.flush(shorter(wait)) }
    }

    fn close(&self, wait: Wait) -> Waited<()> {
        if self.fault == ForgetsToClose && matches!(wait, Wait::Polls(_)) {
            return None;
        }
        if self.fault == ClosesWhenThereIsRoom && self.is_full() {
            return never(Wait::Long);
        }
        if self.fault == NeverTellsTheEnd {
            _ = self.inner.close(shorter(wait));
            return never(wait);
        }
        self.inner.close(shorter(wait))
    }

    fn closed(&self, wait: Wait) -> Waited<Closed> {
        let end = self.inner.closed(shorter(wait))?;
        self.end(end, wait)
    }

    fn stats(&self) -> SessionStats {
        self.inner.stats()
    }

    fn peer_id(&self) -> PeerId {
        self.inner.peer_id()
    }

    fn mode(&self) -> Mode {
        if self.fault == TellsTheWrongMode { Mode::A } else { self.inner.mode() }
    }

    fn remote_addr(&self) -> SocketAddr {
        self.inner.remote_addr()
    }

    fn another(&self) -> Box<dyn Peer> {
        Box::new(Self {
            inner: self.inner.another(),
            endpoint: Arc::clone(&self.endpoint),
            fault: self.fault,
            shared: Arc::clone(&self.shared),
            state: Arc::clone(&self.state),
            clone: true,
        })
    }
}
