//! What each of `Limits` costs: the thing it bounds is filled, at two settings, and the engine's heap counted. The
//! bound that the configuration states must hold and be no more than twice what was counted; the figures in the
//! documentation of `Limits` must be those of the bound.
//!
//! One test in a program of its own: others would count too.

mod field;
mod filled;
mod pair;

use std::alloc::System;
use std::fmt::Write as _;

use b4ae_core::{Accept, Instant, Limits, MemoryBound, ModePolicy, Shutdown, Traffic};
use b4ae_tests::secs;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

use crate::field::{FIELDS, Field};
use crate::filled::{besieged, dials, full, full_with};
use crate::pair::{BASE, INTERVAL, Pair, bound, bound_for, config_for, engine, events, server};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// What the allocator gets back.
fn freed<T>(value: T) -> f64 {
    let region = Region::new(ALLOCATOR);
    drop(value);
    let change = region.change();
    change.bytes_deallocated as f64 - change.bytes_allocated as f64
}

#[test]
fn no_more_memory_is_taken_than_the_configuration_says() {
    // The whole, at two sizes.
    let open = |bound: &MemoryBound| bound.sessions + bound.messages + bound.cookies;
    for sessions in [4, 8, 16] {
        let limits = Limits { sessions, ..BASE };
        within(&format!("{sessions} full sessions"), full(limits), open(&bound(limits)) as f64);
    }
    // As many cells in a round of as many slots, at random or in groups.
    let round = INTERVAL * BASE.sessions.next_power_of_two();
    for traffic in [Traffic::poisson(round), Traffic::burst(round * 4, 4).with_spacing(INTERVAL)] {
        let bound = open(&bound_for(traffic, BASE)) as f64;
        within(&format!("{} full sessions, {traffic:?}", BASE.sessions), full_with(traffic, BASE), bound);
    }
    for sessions in [16, 64] {
        let limits = Limits { sessions, ..BASE };
        within(&format!("{sessions} dialled sessions"), dials(limits), bound(limits).dials as f64);
    }

    // A signer that never comes back makes it hold no more than one that does.
    let (held, most) = besieged(BASE);
    assert!(held <= most as f64, "{held} bytes are held, and {most} are the most");

    // Each field by itself.
    let default = Limits::default();
    let mut table = String::from(
        "| field | default | bytes each, counted | at most | at most, by default |\n|---|--:|--:|--:|--:|\n",
    );
    for field in &FIELDS {
        let Field { name, fill, .. } = *field;
        let counted = field.unit(BASE, field.settings, fill);
        let documented = field.documented();
        let Some((part, settings)) = field.part else {
            assert!(documented.is_none(), "{name}: no memory is bounded by it");
            assert!(counted.abs() < 0.01, "{name} takes {counted} bytes each");
            let [less, more] = field.settings.map(|n| bound(field.at(BASE, n)).total());
            assert_eq!(less, more, "{name} is not in the bound");
            continue;
        };
        let part = |limits| part(&bound(limits)) as f64;
        within(name, counted, field.unit(BASE, field.settings, part));
        let most = field.unit(default, settings, part);
        let documented = documented.unwrap_or_else(|| panic!("{name} takes memory, and its documentation denies it"));
        assert!((most..most * 1.25).contains(&documented), "{name}: {documented} is said, {most} is so");
        // No more than the second setting count for anything.
        let by_default = most * (field.get)(&default).min(settings[1] as usize) as f64;
        let all = by_default * if field.each_session { f64::from(default.sessions) } else { 1.0 };
        let _ = writeln!(table, "| `{name}` | {} | {counted:.1} | {most:.1} | {all:.0} |", (field.get)(&default));
    }
    println!("{table}\nby default at most {:?}: {}", bound(default), bound(default).total());

    neglect();
}

/// What was counted is no more than the bound, and the bound no more than twice that.
fn within(what: &str, counted: f64, bound: f64) {
    println!("{what}: {counted:.1} bytes counted, at most {bound:.1}");
    assert!(counted <= bound, "{what}: {counted} bytes are held, and {bound} are the most");
    assert!(bound <= 2.0 * counted, "{what}: {bound} bytes are said, and no more than {counted} are ever held");
}

/// A driver that does not fetch what the engine has for it, and an application that asks for too much, make it hold no
/// more than the first time.
fn neglect() {
    // Cells that are due, of low-overhead sessions.
    let due = |seconds| {
        let limits = Limits { sessions: 8, ..BASE };
        let config = config_for(Traffic::low_overhead_unprotected(), limits, Accept::Anyone(ModePolicy::A));
        let mut pair = Pair::new(limits, limits);
        pair.server = engine(1, &config);
        pair.open_unheard(8);
        for _ in 0..seconds {
            pair.now = pair.now + secs(1);
            pair.server.handle_timeout(pair.now);
        }
        freed(pair.server)
    };
    assert_eq!(due(100).to_bits(), due(10_000).to_bits(), "cells that were not fetched pile up");

    // Jobs of handshakes that were given up.
    let jobs = |times| {
        let mut pair = Pair::new(Limits { sessions: 1, ..BASE }, BASE);
        for n in 0..times {
            let id = pair.dial(n, ModePolicy::A);
            let hello = pair.client_says();
            pair.server_hears(hello);
            let challenge = pair.server_says();
            pair.client_hears(challenge);
            pair.client.session(id).expect("dialled").close();
            events(&mut pair.client);
        }
        freed(pair.client)
    };
    assert_eq!(jobs(1).to_bits(), jobs(100).to_bits(), "jobs that were not fetched pile up");

    // Shutdowns.
    let shutdowns = |times| {
        let mut engine = server(BASE);
        (0..times).for_each(|n| engine.shutdown(Instant::ORIGIN, Shutdown::Flush(Instant::ORIGIN + secs(n))));
        freed(engine)
    };
    assert_eq!(shutdowns(1).to_bits(), shutdowns(1000).to_bits(), "shutdowns pile up");
}
