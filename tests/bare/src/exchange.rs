//! A whole handshake, and messages both ways, between two engines with limits fit for a microcontroller.

use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use b4ae_core::{
    Accept, Config, DATAGRAM_LEN, Engine, Event, Identity, Instant, Limits, Mode, ModePolicy, Path, SecretIdentity,
    Seed, SessionId, Traffic, TxBuf, UnixTime,
};

/// The modes there are.
pub(crate) const MODES: [Mode; 2] = [Mode::A, Mode::B];

/// The longest message these limits allow.
const MESSAGE: usize = 4096;
/// Messages each way.
const MESSAGES: usize = 8;
const STEP: Duration = Duration::from_millis(1);

/// Few of everything, and each as small as a message of four cells allows.
const LIMITS: Limits = Limits {
    sessions: 1,
    sessions_per_prefix: 1,
    half_open: 1,
    pending_jobs: 1,
    pending_signatures: 1,
    challenges_per_second: 10,
    handshakes_per_prefix: 1,
    prefixes: 16,
    cookies: 64,
    message: MESSAGE,
    send_bytes: 2 * MESSAGE,
    send_messages: 2,
    receive_bytes: 2 * MESSAGE,
    reorder_window: 32,
};

/// What the machine can tell of its memory, in bytes.
pub(crate) trait Memory {
    /// Heap in use.
    fn used(&self) -> usize;
    /// The most heap that was in use since the last call.
    fn take_peak(&self) -> usize;
    /// The deepest the stack has been since the last call, below the caller.
    fn take_stack(&self) -> usize;
}

/// Bytes of heap that one of the two holds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Heap {
    /// Its identity, expanded signing key included.
    pub(crate) identity: usize,
    /// The engine before its session.
    pub(crate) empty: usize,
    /// The most the engine and its jobs held until the session was open.
    pub(crate) handshake: usize,
    /// The engine with its session open and idle.
    pub(crate) idle: usize,
    /// The most while messages flowed.
    pub(crate) messages: usize,
    /// What the configuration says is the most.
    pub(crate) bound: usize,
}

/// What was measured.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Figures {
    pub(crate) client: Heap,
    pub(crate) server: Heap,
    /// Stack of the jobs: key exchange, and in mode B signatures.
    pub(crate) job_stack: usize,
    /// Stack of every other call.
    pub(crate) engine_stack: usize,
}

struct Node {
    engine: Engine,
    /// Heap this engine holds, and the most it has.
    heap: usize,
    peak: usize,
    figures: Heap,
    session: Option<SessionId>,
    received: usize,
    delivered: usize,
}

struct Pair<'m, M> {
    memory: &'m M,
    nodes: [Node; 2],
    wire: Vec<(usize, [u8; DATAGRAM_LEN])>,
    now: Instant,
    job_stack: usize,
    engine_stack: usize,
}

fn path(to: usize) -> Path {
    Path::new(([192, 0, 2, if to == 0 { 1 } else { 2 }], 7000).into(), None)
}

fn text(from: usize, n: usize) -> Vec<u8> {
    (0..MESSAGE - n).map(|i| (i * 7 + n * 31 + from) as u8).collect()
}

impl Node {
    fn new(n: u8, accept: Accept, memory: &impl Memory) -> Self {
        let before = memory.used();
        let identity = Identity::from_secret(&SecretIdentity::generate(&Seed::new([n; 32])));
        let with_identity = memory.used();
        let config = Config::builder(Traffic::constant(STEP * 2)).limits(LIMITS).accept(accept).build();
        let config = config.expect("a sound configuration");
        let seed = Seed::new([n + 10; 32]);
        let engine = Engine::new(&config, identity, &seed, Instant::ORIGIN, UnixTime(0)).expect("an engine");
        let heap = memory.used() - with_identity;
        let bound = usize::try_from(config.memory_bound().total()).expect("it fits into the machine's memory");
        let figures = Heap { identity: with_identity - before, empty: heap, bound, ..Heap::default() };
        Self { engine, heap, peak: heap, figures, session: None, received: 0, delivered: 0 }
    }

    /// Does something with the engine, and counts the heap that it takes or gives back to this one.
    fn with<T>(&mut self, memory: &impl Memory, what: impl FnOnce(&mut Engine) -> T) -> T {
        let before = memory.used();
        memory.take_peak();
        let result = what(&mut self.engine);
        self.peak = self.peak.max(self.heap + memory.take_peak().max(before) - before);
        self.heap = (self.heap + memory.used()) - before;
        result
    }
}

impl<M: Memory> Pair<'_, M> {
    /// A millisecond: what is on the wire arrives, then both engines have their turn.
    fn turn(&mut self) {
        let Self { memory, nodes, wire, now, .. } = self;
        *now = *now + STEP;
        let now = *now;
        memory.take_stack();
        for (to, mut datagram) in core::mem::take(wire) {
            nodes[to].with(*memory, |engine| engine.handle_datagram(now, path(1 - to), &mut datagram));
        }
        for node in nodes.iter_mut() {
            node.with(*memory, |engine| engine.handle_timeout(now));
        }
        for node in nodes.iter_mut() {
            while let Some(job) = node.with(*memory, Engine::poll_job) {
                self.engine_stack = self.engine_stack.max(memory.take_stack());
                node.with(*memory, |engine| {
                    let done = job.run();
                    engine.handle_completion(now, done);
                });
                self.job_stack = self.job_stack.max(memory.take_stack());
            }
        }
        for (me, node) in nodes.iter_mut().enumerate() {
            let mut datagram = [0; DATAGRAM_LEN];
            let mut transmit =
                |engine: &mut Engine| engine.poll_transmit(TxBuf::new(&mut datagram).expect("room")).map(|_| datagram);
            while let Some(datagram) = node.with(*memory, &mut transmit) {
                wire.push((1 - me, datagram));
            }
            while let Some(event) = node.with(*memory, Engine::poll_event) {
                node.hear(me, event, *memory);
            }
        }
        self.engine_stack = self.engine_stack.max(memory.take_stack());
    }
}

impl Node {
    fn hear(&mut self, me: usize, event: Event, memory: &impl Memory) {
        match event {
            Event::Incoming(id) | Event::Established(id) => self.session = Some(id),
            Event::Delivered(..) => self.delivered += 1,
            Event::Readable(id) => {
                let mut message = vec![0; MESSAGE];
                let take = |engine: &mut Engine, out: &mut [u8]| engine.session(id).expect("it has spoken").recv(out);
                while let Ok(len) = self.with(memory, |engine| take(engine, &mut message)) {
                    assert!(message[..len] == text(1 - me, self.received), "the message is the one that was sent");
                    self.received += 1;
                }
            }
            _ => {}
        }
    }
}

/// Opens a session in `mode`, exchanges messages, and tells what it took.
pub(crate) fn run(mode: Mode, memory: &impl Memory) -> Figures {
    let policy = if mode == Mode::A { ModePolicy::A } else { ModePolicy::B };
    let nodes = [Node::new(1, Accept::Nobody, memory), Node::new(2, Accept::Anyone(policy), memory)];
    let wire = Vec::with_capacity(64);
    let mut pair = Pair { memory, nodes, wire, now: Instant::ORIGIN, job_stack: 0, engine_stack: 0 };

    let (now, peer) = (pair.now, pair.nodes[1].engine.peer_id());
    let dialled = pair.nodes[0].with(memory, |engine| engine.connect(now, path(1), &peer, policy)).expect("room");
    // And a little longer, so that cells have flowed.
    let mut open = 0;
    while open < 100 {
        pair.turn();
        open += usize::from(pair.nodes.iter().all(|node| node.session.is_some()));
        assert!(pair.now < Instant::ORIGIN + Duration::from_secs(10), "the session opens");
    }
    assert!(pair.nodes[0].session == Some(dialled), "the session is open for who dialled");
    let answered = pair.nodes[1].session.expect("the session is open for who answered");
    assert!(pair.nodes[1].engine.session(answered).expect("open").mode() == Some(mode), "in the mode asked for");
    for node in &mut pair.nodes {
        (node.figures.handshake, node.figures.idle) = (node.peak, node.heap);
        node.peak = node.heap;
    }

    let mut sent = [0; 2];
    for _ in 0..20_000 {
        for (me, id) in [dialled, answered].into_iter().enumerate() {
            let message = text(me, sent[me]);
            let node = &mut pair.nodes[me];
            let fits = sent[me] < MESSAGES;
            if fits && node.with(memory, |engine| engine.session(id).expect("open").send(&message)).is_ok() {
                sent[me] += 1;
            }
        }
        pair.turn();
        if pair.nodes.iter().all(|node| node.received == MESSAGES && node.delivered == MESSAGES) {
            break;
        }
    }
    for node in &mut pair.nodes {
        assert!(node.received == MESSAGES && node.delivered == MESSAGES, "every message came, and was confirmed");
        node.figures.messages = node.peak;
        let Heap { handshake, messages, bound, .. } = node.figures;
        assert!(handshake.max(messages) <= bound, "{handshake} and {messages} bytes are more than {bound}");
    }
    let [client, server] = [pair.nodes[0].figures, pair.nodes[1].figures];
    Figures { client, server, job_stack: pair.job_stack, engine_stack: pair.engine_stack }
}
