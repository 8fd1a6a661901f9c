//! No datagram allocates once a session is open: an allocator that aborts is in force while two engines talk.

use std::time::Duration;

use assert_no_alloc::{AllocDisabler, assert_no_alloc};
use b4ae_core::{
    Accept, Config, DATAGRAM_LEN, Engine, Event, Identity, Instant, Limits, ModePolicy, Path, SecretIdentity, Seed,
    Traffic, TxBuf, UnixTime,
};

#[global_allocator]
static ALLOCATOR: AllocDisabler = AllocDisabler;

const STEP: Duration = Duration::from_millis(1);

/// Two engines and a wire of fixed size.
struct Pair {
    engines: [Engine; 2],
    now: Instant,
    wire: Vec<(Instant, usize, [u8; DATAGRAM_LEN])>,
    inbox: Box<[u8]>,
    received: usize,
    datagrams: usize,
}

fn path(to: usize) -> Path {
    Path::new(([192, 0, 2, 1 + to as u8], 7000).into(), None)
}

impl Pair {
    fn new(traffic: Traffic) -> Self {
        let limits = Limits { sessions: 1, ..Limits::default() };
        let engine = |n, accept| {
            let identity = Identity::from_secret(&SecretIdentity::generate(&Seed::new([n; 32])));
            let config = Config::builder(traffic).limits(limits).accept(accept).build().expect("a sound configuration");
            Engine::new(&config, identity, &Seed::new([n + 10; 32]), Instant::ORIGIN, UnixTime(0)).expect("an engine")
        };
        Self {
            engines: [engine(1, Accept::Nobody), engine(2, Accept::Anyone(ModePolicy::A))],
            now: Instant::ORIGIN,
            wire: Vec::with_capacity(256),
            inbox: vec![0; 1 << 16].into(),
            received: 0,
            datagrams: 0,
        }
    }

    /// One turn of both engines, five milliseconds of wire between them.
    fn turn(&mut self) {
        self.now = self.now + STEP;
        let now = self.now;
        while let Some(at) = self.wire.iter().position(|(at, ..)| *at <= now) {
            let (_, to, mut datagram) = self.wire.swap_remove(at);
            self.datagrams += 1;
            self.engines[to].handle_datagram(now, path(1 - to), &mut datagram);
        }
        for (me, engine) in self.engines.iter_mut().enumerate() {
            if engine.poll_timeout().is_some_and(|at| at <= now) {
                engine.handle_timeout(now);
            }
            engine.run_inline(now);
            let mut buffer = [0; DATAGRAM_LEN];
            while let Some(transmit) = engine.poll_transmit(TxBuf::new(&mut buffer).expect("room")) {
                self.wire.push((transmit.due + STEP * 5, 1 - me, buffer));
            }
            while let Some(event) = engine.poll_event() {
                if let Event::Readable(id) = event {
                    let mut session = engine.session(id).expect("it has just spoken");
                    while session.recv(&mut self.inbox).is_ok() {
                        self.received += 1;
                    }
                }
            }
        }
    }
}

#[test]
fn no_datagram_of_an_open_session_allocates() {
    let two = STEP * 2;
    for traffic in [Traffic::constant(two), Traffic::poisson(two), Traffic::burst(STEP * 50, 20).with_spacing(two)] {
        nothing_is_allocated(traffic);
    }
}

fn nothing_is_allocated(traffic: Traffic) {
    let mut pair = Pair::new(traffic);
    let peer = pair.engines[1].peer_id();
    let id = pair.engines[0].connect(pair.now, path(1), &peer, ModePolicy::A).expect("room");
    // The handshake, and messages as long as those to come.
    for _ in 0..4 {
        pair.engines[0].session(id).expect("open").send(&[1; 3000]).expect("room");
    }
    (0..1000).for_each(|_| pair.turn());
    assert_eq!(pair.received, 4);

    let before = pair.datagrams;
    for round in 0..20 {
        pair.engines[0].session(id).expect("open").send(&[2; 3000]).expect("room");
        assert_no_alloc(|| (0..100).for_each(|_| pair.turn()));
        assert_eq!(pair.received, 5 + round);
    }
    assert!(pair.datagrams - before > 1500, "cover and payload flowed: {}, {traffic:?}", pair.datagrams - before);
}
