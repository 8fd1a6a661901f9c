//! What a session holds: an engine with many sessions, counted by what its drop gives back to the allocator.

use b4ae_core::{Engine, Limits, ModePolicy};
use stats_alloc::Region;

use crate::ALLOCATOR;
use crate::pair::{self, Pair};

/// A power of two, so that no table has room to spare.
const SESSIONS: usize = 256;

/// Bytes of heap an idle session, tables included.
pub(crate) struct Memory {
    /// An idle session of a server.
    pub(crate) responder: f64,
    /// An idle session of a client.
    pub(crate) initiator: f64,
    /// What of it the keys of missing cells take: one of them times `Limits::reorder_window`.
    pub(crate) reorder_window: f64,
    /// What a message of one cell each way leaves behind, ready for the next.
    pub(crate) after_a_message: f64,
    /// An engine without sessions, its cookie filters included.
    pub(crate) empty_server: f64,
}

/// Opens sessions, lets cover flow, and drops them.
pub(crate) fn measure() -> Memory {
    let limits = pair::limits(SESSIONS);
    let (responder, initiator) = idle(limits, false);
    let narrow = idle(Limits { reorder_window: 64, ..limits }, false).0;
    let wide = idle(Limits { reorder_window: 192, ..limits }, false).0;
    let window = (wide - narrow) / 128.0 * limits.reorder_window as f64;
    Memory {
        responder,
        initiator,
        reorder_window: window,
        after_a_message: idle(limits, true).0 - responder,
        empty_server: freed(pair::server(limits)),
    }
}

/// Bytes a session holds at a server and at a client.
fn idle(limits: Limits, message: bool) -> (f64, f64) {
    let (mut pair, ids) = Pair::open(limits, SESSIONS, ModePolicy::A);
    if message {
        let at_server: Vec<_> = ids.iter().map(|&id| speak(&mut pair.client, id)).collect();
        assert_eq!(at_server.len(), SESSIONS);
        (0..4 * SESSIONS).for_each(|_| {
            pair.server_slot();
            pair.client_slot();
            listen(&mut pair.server);
            pair::events(&mut pair.client, |_| true);
        });
    }
    let empty = [freed(pair::server(limits)), freed(pair::client(limits))];
    let full = [freed(pair.server), freed(pair.client)];
    let each = |at: usize| (full[at] - empty[at]) / SESSIONS as f64;
    (each(0), each(1))
}

fn speak(engine: &mut Engine, id: b4ae_core::SessionId) {
    engine.session(id).expect("open").send(&[0x5a; 1024]).expect("room");
}

/// Takes every message, and answers it.
fn listen(engine: &mut Engine) {
    while let Some(event) = engine.poll_event() {
        if let b4ae_core::Event::Readable(id) = event {
            let mut message = [0; 1024];
            while engine.session(id).expect("it has just spoken").recv(&mut message).is_ok() {
                speak(engine, id);
            }
        }
    }
}

/// What the allocator gets back.
fn freed(engine: Engine) -> f64 {
    let region = Region::new(ALLOCATOR);
    drop(engine);
    let change = region.change();
    (change.bytes_deallocated - change.bytes_allocated) as f64
}
