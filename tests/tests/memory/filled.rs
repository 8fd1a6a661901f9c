//! Engines filled to their limits, and what the allocator gets back from them.

use std::time::Duration;

use b4ae_core::{Job, Limits, MemoryBound, ModePolicy, SessionId, Traffic};

use crate::freed;
use crate::pair::{BASE, GRID, Pair, bound, events, send, take_all};

/// A server of which every session is full: buffers of long messages kept at both ends of delivery, as many messages
/// queued as may be and as long, as many received and not taken, as many confirmations untold as there have been.
pub(crate) fn full(limits: Limits) -> f64 {
    full_with(GRID, limits)
}

pub(crate) fn full_with(traffic: Traffic, limits: Limits) -> f64 {
    let sessions = limits.sessions as usize;
    let ample = Limits { send_bytes: 1 << 24, send_messages: 1 << 12, receive_bytes: 1 << 24, ..limits };
    let mut pair = Pair::with(traffic, ample, limits);
    let [dialled, answered] = pair.open(sessions);

    // Long messages both ways leave their buffers.
    for (&there, &here) in dialled.iter().zip(&answered) {
        for _ in 0..4 {
            send(&mut pair.client, there, 16 << 10);
            send(&mut pair.server, here, 16 << 10);
        }
    }
    settle(&mut pair, &dialled, &answered, 4);
    events(&mut pair.server);

    // As many short ones as may be, confirmed, and the application does not hear of it until all are.
    for &here in &answered {
        (0..limits.send_messages).for_each(|_| send(&mut pair.server, here, 1));
    }
    settle(&mut pair, &dialled, &[], limits.send_messages);
    events(&mut pair.server);

    // What the server is sent and does not take.
    let cells = limits.receive_bytes / 1024;
    let messages = cells.min(1024);
    for &there in &dialled {
        (0..messages).for_each(|_| send(&mut pair.client, there, limits.receive_bytes / messages));
    }
    let waiting = |pair: &mut Pair, id| pair.server.session(id).expect("open").stats().waiting_messages;
    for _ in 0..4 * cells {
        pair.round(sessions);
        if answered.iter().all(|&id| waiting(&mut pair, id) == messages) {
            break;
        }
    }
    assert!(answered.iter().all(|&id| waiting(&mut pair, id) == messages), "everything has arrived");

    // And what it sends, of which nothing leaves.
    for &here in &answered {
        // The shortest there are take the buffers that were kept.
        (0..4).for_each(|_| send(&mut pair.server, here, 1));
        let long = limits.send_messages - 4;
        let len = ((limits.send_bytes - 4) / long).min(limits.message);
        (0..long).for_each(|_| send(&mut pair.server, here, len));
        let queued = pair.server.session(here).expect("open").stats();
        assert!(queued.queued_bytes * 8 >= limits.send_bytes * 7, "the queue is full: {queued:?}");
    }
    freed(pair.server)
}

/// Runs until each of these sessions has got and taken so many messages.
pub(crate) fn settle(pair: &mut Pair, dialled: &[SessionId], answered: &[SessionId], messages: usize) {
    let mut missing = messages * (dialled.len() + answered.len());
    let rounds = 4 * 16 * messages;
    for _ in 0..rounds {
        pair.round(dialled.len());
        missing -= take_all(&mut pair.client, dialled) + take_all(&mut pair.server, answered);
        if missing == 0 {
            // Once more for the acknowledgements.
            (0..4).for_each(|_| pair.round(dialled.len()));
            return;
        }
    }
    panic!("{missing} messages did not come");
}

/// A server with as many handshakes in mode B as there may be, of each the whole Response and all but a fragment of the
/// Finish.
pub(crate) fn half_open(limits: Limits) -> f64 {
    let dials = 2 * limits.half_open as usize;
    let mut pair = Pair::new(Limits { sessions: dials as u32, ..BASE }, limits);
    pair.dial_all(dials, ModePolicy::B);
    for init in pair.inits() {
        pair.server_hears(vec![init]);
        pair.server.run_inline(pair.now);
    }
    let responses = pair.server_says();
    pair.client_hears(responses);
    pair.client.run_inline(pair.now);
    let mut finishes = pair.client_says();
    // Of each address's the last is lost.
    let last = |at: usize| finishes.get(at + 1).is_none_or(|next| next.0 != finishes[at].0);
    let lost: Vec<_> = (0..finishes.len()).filter(|&at| last(at)).collect();
    for at in lost.into_iter().rev() {
        finishes.remove(at);
    }
    pair.server_hears(finishes);
    assert_eq!(pair.server.metrics().handshakes, limits.half_open, "the table is full");
    freed(pair.server)
}

/// As many jobs for handshakes of others as there may be that do not sign: each has the whole Finish of one in mode B.
pub(crate) fn verifications(limits: Limits) -> f64 {
    let more = 4 * limits.pending_jobs;
    let mut pair = begun(more, Limits { half_open: more, pending_signatures: more, ..limits });
    pair.server.run_inline(pair.now);
    let responses = pair.server_says();
    pair.client_hears(responses);
    pair.client.run_inline(pair.now);
    let finishes = pair.client_says();
    pair.server_hears(finishes);
    let jobs: Vec<_> = std::iter::from_fn(|| pair.server.poll_job()).collect();
    assert_eq!(jobs.len(), limits.pending_jobs as usize, "no more jobs than may be are handed out");
    freed(jobs)
}

/// As many jobs for handshakes of others as there may be that sign, when they have been run and not been taken back.
pub(crate) fn signatures(limits: Limits) -> f64 {
    let more = 4 * limits.pending_signatures;
    let mut pair = begun(more, Limits { half_open: more, ..limits });
    let jobs: Vec<_> = std::iter::from_fn(|| pair.server.poll_job()).collect();
    assert_eq!(jobs.len(), limits.pending_signatures as usize, "no more jobs than may be are handed out");
    let done: Vec<_> = jobs.into_iter().map(Job::run).collect();
    freed(done)
}

/// A server whose signer never comes back while clients keep dialling in mode B, with what is with the signer, and the
/// most that it is said to hold beside its sessions.
pub(crate) fn besieged(limits: Limits) -> (f64, u64) {
    let clients = 4 * limits.half_open;
    let mut pair = Pair::new(Limits { sessions: clients, ..BASE }, limits);
    pair.dial_all(clients as usize, ModePolicy::B);
    let mut with_the_signer = Vec::new();
    for _ in 0..60 {
        pair.now = pair.now + Duration::from_secs(1);
        pair.client.handle_timeout(pair.now);
        pair.server.handle_timeout(pair.now);
        let inits = pair.inits();
        pair.server_hears(inits);
        with_the_signer.extend(std::iter::from_fn(|| pair.server.poll_job()));
    }
    assert_eq!(with_the_signer.len(), limits.pending_signatures as usize);
    assert!(with_the_signer.iter().all(Job::signs));
    let MemoryBound { half_open, jobs, prefixes, cookies, challenges, other, .. } = bound(limits);
    (freed((pair.server, with_the_signer)), half_open + jobs + prefixes + cookies + challenges + other)
}

/// So many clients whose Init in mode B the server has.
fn begun(clients: u32, limits: Limits) -> Pair {
    let mut pair = Pair::new(Limits { sessions: clients, ..BASE }, limits);
    pair.dial_all(clients as usize, ModePolicy::B);
    let inits = pair.inits();
    pair.server_hears(inits);
    pair
}

/// A server before which as many Hellos wait as may.
pub(crate) fn challenges(limits: Limits) -> f64 {
    let strangers = 2 * limits.challenges_per_second as usize;
    let mut pair = Pair::new(Limits { sessions: strangers as u32, ..BASE }, limits);
    pair.dial_all(strangers, ModePolicy::A);
    for hello in pair.client_says() {
        pair.now = pair.now + Duration::from_secs(1);
        pair.server_hears(vec![hello]);
    }
    assert!(pair.server.metrics().drops.limited > 0, "the queue is full");
    freed(pair.server)
}

/// A server at whose door more hosts have stood than it remembers.
pub(crate) fn prefixes(limits: Limits) -> f64 {
    let strangers = limits.prefixes as usize;
    let mut pair = Pair::new(Limits { sessions: strangers as u32, ..BASE }, limits);
    pair.dial_all(strangers, ModePolicy::A);
    let mut inits = pair.inits();
    // The first fragment of each.
    inits.dedup_by_key(|init| init.0);
    assert_eq!(inits.len(), strangers);
    pair.server_hears(inits);
    freed(pair.server)
}

/// A client all of whose sessions are being dialled in mode B, with a whole Response of each to be verified.
pub(crate) fn dials(limits: Limits) -> f64 {
    let n = limits.sessions;
    let mut pair = Pair::new(limits, Limits { half_open: n, pending_signatures: n, ..BASE });
    pair.dial_all(n as usize, ModePolicy::B);
    let inits = pair.inits();
    pair.server_hears(inits);
    pair.server.run_inline(pair.now);
    let responses = pair.server_says();
    pair.client_hears(responses);
    freed(pair.client)
}
