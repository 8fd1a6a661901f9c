//! Application and loop in every order that their locks and atomics allow: run with `scripts/check loom`.
//!
//! The mailbox, its wakers, links and handles are the product's, and so is the engine. The loop here differs from the
//! real one in that only a waker ends its sleep: with a wake lost, nobody runs any more, which the model checker
//! reports.

use std::future::{Future, poll_fn};
use std::task::Poll;

use b4ae_core::{Accept, Clock, CloseReason, Config, Identity, Limits, ModePolicy, Secret, Seed, Traffic, UnixTime};
use loom::future::block_on;
use loom::thread;

use super::*;
use crate::sync::PREEMPT_HOLDERS;
use crate::{Closed, Handle, PeerHandle, Stopped};

/// Of a thread that runs the engine, in words.
const STACK: usize = 1 << 18;

/// Runs `run` and the threads it starts in every order there is; and once more with threads that are preempted while
/// they hold a lock, and three times at most elsewhere.
fn explore(run: impl Fn(World) + Send + Sync + 'static) {
    let identity = Identity::without_signer(&Secret::new([1; 32]), None);
    let limits = Limits { sessions: 4, ..Limits::default() };
    let traffic = Traffic::low_overhead_unprotected();
    let config = Config::builder(traffic).limits(limits).accept(Accept::Nobody).build().expect("a valid configuration");
    let (run, config) = (Arc::new(run), Arc::new(config));
    for preempt_holders in [false, true] {
        PREEMPT_HOLDERS.set(preempt_holders);
        let (run, config, identity) = (Arc::clone(&run), Arc::clone(&config), identity.clone());
        let mut model = loom::model::Builder::new();
        model.max_branches = 20_000;
        model.preemption_bound = preempt_holders.then_some(3);
        model.check(move || {
            let (run, world) = (Arc::clone(&run), World::new(&config, &identity));
            spawn(move || run(world)).join().expect("no panic");
        });
    }
}

/// A loop that does not run yet, and the application's handle.
struct World {
    engine: Engine,
    links: Links,
    mailbox: Arc<Mailbox>,
    handle: Option<Handle>,
}

impl World {
    fn new(config: &Config, identity: &Identity) -> Self {
        let engine = Engine::new(config, identity.clone(), &Seed::new([2; 32]), Instant::ORIGIN, UnixTime(0));
        let engine = engine.expect("the configuration fits");
        let local = "127.0.0.1:1".parse().expect("an address");
        let mailbox =
            Arc::new(Mailbox::new(Clock::new(), local, engine.peer_id(), ModePolicy::A, config.limits(), false));
        let handle = Some(Handle::new(Arc::clone(&mailbox), Duration::ZERO));
        Self { engine, links: Links::new(Arc::clone(&mailbox)), mailbox, handle }
    }

    /// The handle, for an application's thread.
    fn handle(&mut self) -> Handle {
        self.handle.take().expect("taken once")
    }

    fn exchange(&mut self) -> Found {
        self.links.exchange(&mut self.engine, Instant::ORIGIN + STATS_EVERY, || {})
    }

    /// Runs the loop until `enough`, sleeping in between as the real one does.
    fn run_until(&mut self, mut enough: impl FnMut(&mut Self, &Found) -> bool) {
        let mut known = false;
        block_on(poll_fn(|cx| {
            if !known {
                self.mailbox.loop_waker.set(cx.waker());
                known = true;
            }
            let found = self.exchange();
            if enough(self, &found) {
                return Poll::Ready(());
            }
            if found.look != Look::Done {
                // The real loop comes back by itself, a moment later.
                thread::yield_now();
                cx.waker().wake_by_ref();
            }
            Poll::Pending
        }));
    }

    /// A session that the loop knows of.
    fn session(&mut self) -> PeerHandle {
        let peer = connect(self.handle.as_ref().expect("not taken")).expect("there is room");
        _ = self.exchange();
        assert_eq!(self.links.by_id.len(), 1);
        peer
    }
}

fn connect(handle: &Handle) -> Result<PeerHandle, crate::ConnectError> {
    handle.connect("127.0.0.1:2".parse().expect("an address"), &handle.peer_id(), ModePolicy::A)
}

/// Queues a message, for which there is room.
fn send(peer: &PeerHandle) {
    let mut message = Some(vec![7]);
    block_on(poll_fn(|cx| peer.poll_send(cx, &mut message))).expect("the session has not ended");
}

/// Begins a thread of the application.
fn spawn<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> thread::JoinHandle<T> {
    thread::Builder::new().stack_size(STACK).spawn(run).expect("a thread")
}

fn join<T>(threads: [thread::JoinHandle<T>; 2]) {
    threads.into_iter().for_each(|thread| drop(thread.join().expect("no panic")));
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    block_on(future)
}

#[test]
fn a_connect_is_never_slept_through() {
    explore(|mut world| {
        let handle = world.handle();
        // Whoever reads holds the lock now and then, and wakes nobody.
        let reading = spawn({
            let handle = handle.clone();
            move || _ = handle.stats()
        });
        let app = spawn(move || (connect(&handle).expect("there is room"), handle));
        world.run_until(|world, _| !world.links.by_id.is_empty());
        reading.join().expect("no panic");
        drop(app.join().expect("no panic"));
    });
}

#[test]
fn without_a_grid_a_message_is_never_slept_through() {
    explore(|mut world| {
        let peer = world.session();
        let app = spawn({
            let peer = peer.clone();
            move || {
                send(&peer);
                send(&peer);
            }
        });
        world.run_until(|_, _| peer.queued() == 2 && peer.stats().queued_messages == 0);
        app.join().expect("no panic");
    });
}

#[test]
fn a_message_queued_before_an_exchange_is_taken_by_it() {
    explore(|mut world| {
        let peer = world.session();
        let app = spawn({
            let peer = peer.clone();
            move || {
                send(&peer);
                send(&peer);
            }
        });
        // While it is queued, as at slots of a grid.
        _ = world.exchange();
        _ = world.exchange();
        app.join().expect("no panic");
        _ = world.exchange();
        assert_eq!((peer.queued(), peer.stats().queued_messages), (2, 0));
    });
}

#[test]
fn the_drop_of_the_last_handle_is_never_slept_through() {
    explore(|mut world| {
        let handle = world.handle();
        let clone = handle.clone();
        let apps = [spawn(move || drop(handle)), spawn(move || drop(clone))];
        world.run_until(|_, found| found.stop.is_some());
        join(apps);
    });
}

#[test]
fn the_drop_of_a_peers_last_handle_is_never_slept_through() {
    explore(|mut world| {
        let peer = world.session();
        let clone = peer.clone();
        let apps = [spawn(move || drop(peer)), spawn(move || drop(clone))];
        world.run_until(|world, _| world.links.is_handed_over());
        join(apps);
    });
}

#[test]
fn news_of_a_session_reaches_whoever_waits() {
    explore(|mut world| {
        let peer = world.session();
        let app = spawn(move || wait(poll_fn(|cx| peer.poll_closed(cx))));
        let (id, link) = world.links.by_id.iter_mut().next().expect("a session");
        link.on_closed(CloseReason::Idle);
        let id = *id;
        world.links.wanted.insert(id);
        world.run_until(|world, _| world.links.by_id.is_empty());
        assert_eq!(app.join().expect("no panic"), Closed::Session(CloseReason::Idle));
    });
}

#[test]
fn the_end_of_the_loop_reaches_whoever_waits() {
    explore(|mut world| {
        let peer = world.session();
        let handle = world.handle();
        let apps = [
            spawn(move || assert_eq!(wait(poll_fn(|cx| handle.poll_accept(cx))).err(), Some(Stopped))),
            spawn(move || assert_eq!(wait(poll_fn(|cx| peer.poll_closed(cx))), Closed::Stopped(Stopped))),
        ];
        drop(world);
        join(apps);
    });
}

#[test]
fn a_connect_at_the_end_of_the_loop_fails_or_is_told() {
    explore(|mut world| {
        let handle = world.handle();
        let app = spawn(move || {
            let Ok(peer) = connect(&handle) else { return };
            assert!(wait(poll_fn(|cx| peer.poll_established(cx))).is_err());
        });
        _ = world.exchange();
        drop(world);
        app.join().expect("no panic");
    });
}
