//! The adapters whose calls are futures: Tokio's, and async-io's on smol and on async-std, each with the loop on its
//! own thread and as a task.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use b4ae_core::{MessageId, Mode, ModePolicy, PeerId, PeerUri, SessionStats};
use b4ae_tokio::{BindError, Closed, ConnectError, EndpointConfig, EndpointStats, Placement, SendError, Stopped};

use crate::driver::{Driver, Endpoint, Peer, Wait, Waited};

/// An executor, and the adapter on it.
pub(crate) trait Runtime: Send + Sync + 'static {
    type Endpoint: Futures;
    fn bind(&self, config: EndpointConfig) -> Result<Self::Endpoint, BindError>;
    /// Runs `future`, for `limit` at most by the runtime's own timer.
    fn run<T>(&self, limit: Duration, future: impl Future<Output = T>) -> Option<T>;
    fn has_own_thread(&self) -> bool;
    fn end_executor(&self);
}

/// What the endpoints of both adapters have.
pub(crate) trait Futures: Clone + Send + Sync + 'static {
    fn connect(
        &self,
        uri: &PeerUri,
        modes: Option<ModePolicy>,
    ) -> impl Future<Output = Result<b4ae_tokio::Peer, ConnectError>>;
    fn accept(&self) -> impl Future<Output = Result<b4ae_tokio::Peer, Stopped>>;
    fn close(&self, flush: Duration) -> impl Future<Output = ()>;
    fn local_addr(&self) -> SocketAddr;
    fn peer_id(&self) -> PeerId;
    fn uri(&self, host: &str) -> PeerUri;
    fn stats(&self) -> EndpointStats;
}

macro_rules! futures {
    ($endpoint:ty) => {
        impl Futures for $endpoint {
            async fn connect(
                &self,
                uri: &PeerUri,
                modes: Option<ModePolicy>,
            ) -> Result<b4ae_tokio::Peer, ConnectError> {
                match modes {
                    Some(modes) => self.connect_with(uri, modes).await,
                    None => self.connect(uri).await,
                }
            }
            async fn accept(&self) -> Result<b4ae_tokio::Peer, Stopped> {
                self.accept().await
            }
            async fn close(&self, flush: Duration) {
                self.close(flush).await;
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
        }
    };
}

futures!(b4ae_tokio::Endpoint);
futures!(b4ae_smol::Endpoint);

/// Waits for `future` as `wait` says.
fn wait_for<R: Runtime, T>(runtime: &R, wait: Wait, future: impl Future<Output = T>) -> Waited<T> {
    match wait {
        Wait::Long => runtime.run(Wait::LONG, moved(future)),
        Wait::For(limit) => runtime.run(limit, moved(future)),
        Wait::Polls(polls) => runtime.run(Wait::LONG, dropped_after(polls, future))?,
    }
}

/// Polls once with a waker that nobody listens to, as if the future had begun in another task: from the next poll on
/// this one is to be woken.
async fn moved<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        return output;
    }
    future.await
}

async fn dropped_after<T>(polls: u32, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    poll_fn(|cx| {
        for poll in 0..polls {
            if poll > 0 {
                thread::sleep(Wait::GAP);
            }
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(Some(output));
            }
        }
        Poll::Ready(None)
    })
    .await
}

/// A driver made of a runtime.
pub(crate) struct Async<R>(pub(crate) Arc<R>);

impl<R: Runtime> Async<R> {
    pub(crate) fn boxed(runtime: R) -> Box<dyn Driver> {
        Box::new(Self(Arc::new(runtime)))
    }
}

impl<R: Runtime> Driver for Async<R> {
    fn bind(&self, config: EndpointConfig) -> Result<Box<dyn Endpoint>, BindError> {
        let endpoint = self.0.bind(config)?;
        Ok(Box::new(AsyncEndpoint { endpoint, runtime: Arc::clone(&self.0) }))
    }

    fn has_own_thread(&self) -> bool {
        self.0.has_own_thread()
    }

    fn end_executor(&self) {
        self.0.end_executor();
    }
}

struct AsyncEndpoint<R: Runtime> {
    endpoint: R::Endpoint,
    runtime: Arc<R>,
}

impl<R: Runtime> AsyncEndpoint<R> {
    fn peer(&self, peer: b4ae_tokio::Peer) -> Box<dyn Peer> {
        Box::new(AsyncPeer { peer, runtime: Arc::clone(&self.runtime) })
    }
}

impl<R: Runtime> Endpoint for AsyncEndpoint<R> {
    fn connect(
        &self,
        uri: &PeerUri,
        modes: Option<ModePolicy>,
        wait: Wait,
    ) -> Waited<Result<Box<dyn Peer>, ConnectError>> {
        let connected = wait_for(&*self.runtime, wait, self.endpoint.connect(uri, modes))?;
        Some(connected.map(|peer| self.peer(peer)))
    }

    fn accept(&self, wait: Wait) -> Waited<Result<Box<dyn Peer>, Stopped>> {
        Some(wait_for(&*self.runtime, wait, self.endpoint.accept())?.map(|peer| self.peer(peer)))
    }

    fn close(&self, flush: Duration, wait: Wait) -> Waited<()> {
        wait_for(&*self.runtime, wait, self.endpoint.close(flush))
    }

    fn local_addr(&self) -> SocketAddr {
        self.endpoint.local_addr()
    }

    fn peer_id(&self) -> PeerId {
        self.endpoint.peer_id()
    }

    fn uri(&self, host: &str) -> PeerUri {
        self.endpoint.uri(host)
    }

    fn stats(&self) -> EndpointStats {
        self.endpoint.stats()
    }

    fn another(&self) -> Box<dyn Endpoint> {
        Box::new(Self { endpoint: self.endpoint.clone(), runtime: Arc::clone(&self.runtime) })
    }
}

struct AsyncPeer<R> {
    peer: b4ae_tokio::Peer,
    runtime: Arc<R>,
}

impl<R: Runtime> Peer for AsyncPeer<R> {
    fn send(&self, message: Vec<u8>, wait: Wait) -> Waited<Result<MessageId, SendError>> {
        wait_for(&*self.runtime, wait, self.peer.send(message))
    }

    fn recv(&self, wait: Wait) -> Waited<Result<Vec<u8>, Closed>> {
        wait_for(&*self.runtime, wait, self.peer.recv())
    }

    fn recv_counted(&self, wait: Wait) -> (Waited<Result<Vec<u8>, Closed>>, u64) {
        let polls = AtomicU64::new(0);
        let mut receiving = pin!(self.peer.recv());
        let counting = poll_fn(|cx| {
            polls.fetch_add(1, Ordering::Relaxed);
            receiving.as_mut().poll(cx)
        });
        let received = wait_for(&*self.runtime, wait, counting);
        (received, polls.into_inner())
    }

    fn delivered(&self, id: MessageId, wait: Wait) -> Waited<Result<(), Closed>> {
        wait_for(&*self.runtime, wait, self.peer.delivered(id))
    }

    fn flush(&self, wait: Wait) -> Waited<Result<(), Closed>> {
        wait_for(&*self.runtime, wait, self.peer.flush())
    }

    fn close(&self, wait: Wait) -> Waited<()> {
        wait_for(&*self.runtime, wait, self.peer.close())
    }

    fn closed(&self, wait: Wait) -> Waited<Closed> {
        wait_for(&*self.runtime, wait, self.peer.closed())
    }

    fn stats(&self) -> SessionStats {
        self.peer.stats()
    }

    fn peer_id(&self) -> PeerId {
        self.peer.peer_id()
    }

    fn mode(&self) -> Mode {
        self.peer.mode()
    }

    fn remote_addr(&self) -> SocketAddr {
        self.peer.remote_addr()
    }

    fn another(&self) -> Box<dyn Peer> {
        Box::new(Self { peer: self.peer.clone(), runtime: Arc::clone(&self.runtime) })
    }
}

/// Two Tokio runtimes: endpoints are bound on one, calls are made on the other.
pub(crate) struct Tokio {
    hosting: Mutex<Option<tokio::runtime::Runtime>>,
    calling: tokio::runtime::Runtime,
    placement: Placement,
}

impl Tokio {
    pub(crate) fn new(placement: Placement) -> Self {
        let runtime = |threads| {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            builder.worker_threads(threads).enable_all().build().expect("a runtime")
        };
        Self { hosting: Mutex::new(Some(runtime(2))), calling: runtime(1), placement }
    }
}

impl Runtime for Tokio {
    type Endpoint = b4ae_tokio::Endpoint;

    fn bind(&self, config: EndpointConfig) -> Result<Self::Endpoint, BindError> {
        let hosting = self.hosting.lock().unwrap_or_else(PoisonError::into_inner);
        let hosting = hosting.as_ref().expect("the runtime has not ended");
        hosting.block_on(b4ae_tokio::Endpoint::bind(config.placement(self.placement)))
    }

    fn run<T>(&self, limit: Duration, future: impl Future<Output = T>) -> Option<T> {
        self.calling.block_on(async { tokio::time::timeout(limit, future).await.ok() })
    }

    fn has_own_thread(&self) -> bool {
        self.placement == Placement::OwnThread
    }

    fn end_executor(&self) {
        self.hosting.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// smol, with an executor on a thread of its own where the loop is a task.
pub(crate) struct Smol(Mutex<Option<SmolExecutor>>);

struct SmolExecutor {
    executor: Arc<smol::Executor<'static>>,
    stop: smol::channel::Sender<()>,
    thread: thread::JoinHandle<()>,
}

impl Smol {
    pub(crate) fn new(placement: Placement) -> Self {
        let hosting = (placement == Placement::Runtime).then(|| {
            let executor = Arc::new(smol::Executor::new());
            let (stop, stopped) = smol::channel::bounded::<()>(1);
            let running = Arc::clone(&executor);
            let thread = thread::spawn(move || _ = smol::block_on(running.run(stopped.recv())));
            SmolExecutor { executor, stop, thread }
        });
        Self(Mutex::new(hosting))
    }
}

impl Drop for Smol {
    fn drop(&mut self) {
        self.end_executor();
    }
}

impl Runtime for Smol {
    type Endpoint = b4ae_smol::Endpoint;

    fn bind(&self, config: EndpointConfig) -> Result<Self::Endpoint, BindError> {
        match &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            None => smol::block_on(b4ae_smol::Endpoint::bind(config)),
            Some(hosting) => {
                let (endpoint, run) = b4ae_smol::Endpoint::bind_with_loop(config)?;
                hosting.executor.spawn(run).detach();
                Ok(endpoint)
            }
        }
    }

    fn run<T>(&self, limit: Duration, future: impl Future<Output = T>) -> Option<T> {
        let timeout = async {
            smol::Timer::after(limit).await;
            None
        };
        smol::block_on(smol::future::or(async { Some(future.await) }, timeout))
    }

    fn has_own_thread(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    fn end_executor(&self) {
        // What is left behind by the executor's end is no executor.
        if let Some(hosting) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            drop(hosting.stop);
            _ = hosting.thread.join();
        }
    }
}

/// async-std, whose executor is the process's.
pub(crate) struct AsyncStd {
    placement: Placement,
    loops: Mutex<Vec<async_std::task::JoinHandle<()>>>,
}

impl AsyncStd {
    pub(crate) fn new(placement: Placement) -> Self {
        Self { placement, loops: Mutex::default() }
    }
}

impl Runtime for AsyncStd {
    type Endpoint = b4ae_smol::Endpoint;

    fn bind(&self, config: EndpointConfig) -> Result<Self::Endpoint, BindError> {
        if self.placement == Placement::OwnThread {
            return async_std::task::block_on(b4ae_smol::Endpoint::bind(config));
        }
        let (endpoint, run) = b4ae_smol::Endpoint::bind_with_loop(config)?;
        self.loops.lock().unwrap_or_else(PoisonError::into_inner).push(async_std::task::spawn(run));
        Ok(endpoint)
    }

    fn run<T>(&self, limit: Duration, future: impl Future<Output = T>) -> Option<T> {
        async_std::task::block_on(async_std::future::timeout(limit, future)).ok()
    }

    fn has_own_thread(&self) -> bool {
        self.placement == Placement::OwnThread
    }

    /// There is no end of it but that of each task.
    fn end_executor(&self) {
        for run in self.loops.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            async_std::task::block_on(run.cancel());
        }
    }
}
