//! What each schedule needs, what it shows, and what it costs.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use b4ae_core::{Accept, Config, ConfigBuilder, ConfigError, Instant, Limits, ModePolicy, Traffic, TransmitKind};
use b4ae_sim::{Action, Behaviour, HostId, HostSpec, Latency, Network, World};
use b4ae_tests::{BEHAVIOURS, Net, at, built, ms, open, opened, secs};

/// This traffic for so many sessions, with time limits as short as they may be.
fn tight(traffic: Traffic, sessions: u32) -> ConfigBuilder {
    Config::builder(traffic.with_max_queue_latency(traffic.longest_gap(sessions)))
        .limits(Limits { sessions, ..Limits::default() })
        .idle_timeout(traffic.shortest_idle_timeout(sessions).max(secs(1)))
        .handshake_timeout(traffic.shortest_handshake_timeout(sessions).max(secs(20)))
}

#[test]
fn a_configuration_that_cannot_work_is_refused_with_what_it_would_take() {
    let schedules = [Traffic::high_security(), Traffic::poisson(secs(3)), Traffic::burst(secs(30), 4)];
    for traffic in schedules {
        for sessions in [1, 5, 64] {
            built(tight(traffic, sessions));
            let shorter = |time: Duration| time.saturating_sub(ms(1));
            let needed = |time: Duration| u64::try_from(time.as_millis()).expect("some minutes");
            let gap = traffic.longest_gap(sessions);
            let limits = Limits { sessions, ..Limits::default() };
            let hasty = tight(traffic, sessions);
            let refused = Config::builder(traffic.with_max_queue_latency(shorter(gap))).limits(limits).build();
            assert_eq!(refused.err(), Some(ConfigError::QueueLatency { needed_ms: needed(gap) }));
            let idle = traffic.shortest_idle_timeout(sessions);
            let refused = hasty.clone().idle_timeout(shorter(idle)).build();
            assert_eq!(refused.err(), Some(ConfigError::IdleTimeout { needed_ms: needed(idle) }));
            let handshake = traffic.shortest_handshake_timeout(sessions);
            if !handshake.is_zero() {
                let refused = hasty.handshake_timeout(shorter(handshake)).build();
                assert_eq!(refused.err(), Some(ConfigError::HandshakeTimeout { needed_ms: needed(handshake) }));
            }
        }
    }
    // 64 sessions of four cells, 10 ms apart.
    let crowded = Config::builder(Traffic::burst(secs(2), 4)).build();
    assert_eq!(crowded.err(), Some(ConfigError::Period { needed_ms: 2560 }));
    assert!(matches!(tight(Traffic::burst(secs(86_401), 4), 1).build(), Err(ConfigError::Period { .. })));
    for cells in [0, 129, u32::MAX] {
        let refused = tight(Traffic::burst(secs(80_000), cells), 1).build();
        assert_eq!(refused.err(), Some(ConfigError::Limit("cells of a group")));
    }
    for interval in [Duration::ZERO, Duration::from_micros(9), secs(601), Duration::MAX] {
        for traffic in [Traffic::poisson(interval), Traffic::burst(secs(900), 1).with_spacing(interval)] {
            assert_eq!(tight(traffic, 1).build().err(), Some(ConfigError::Interval));
        }
    }
    for absurd in [Traffic::burst(Duration::MAX, u32::MAX), Traffic::burst(Duration::ZERO, 1)] {
        assert!(tight(absurd, 1 << 16).build().is_err());
    }
}

/// A server with three clients, and when its cells left, by destination.
fn served(traffic: Traffic, behaviour: Behaviour, time: Duration) -> BTreeMap<std::net::SocketAddr, Vec<Instant>> {
    let spec = |accept, behaviour| {
        HostSpec::new(built(tight(traffic, 4).accept(accept))).without_signer().behaviour(behaviour)
    };
    let mut world = World::new([7; 32]);
    world.act(Action::Network(Network::Wan.config())).expect("no violation");
    let server = world.add(spec(Accept::Anyone(ModePolicy::A), Behaviour::Echo)).expect("an engine");
    for _ in 0..3 {
        let client = world.add(spec(Accept::Nobody, behaviour)).expect("an engine");
        open(&mut world, client, server, ModePolicy::A);
    }
    world.run_until(at(time)).expect("no violation");
    let mut left = BTreeMap::<_, Vec<_>>::new();
    for sent in world.departures(server).iter().filter(|sent| sent.kind == TransmitKind::Cell) {
        left.entry(sent.to).or_default().push(sent.time);
    }
    assert_eq!(left.len(), 3);
    left
}

/// What the server sends each peer is a group of four, whatever is said; between groups nothing leaves.
#[test]
fn a_group_has_its_cells_for_every_peer_and_nothing_follows() {
    let (period, spacing) = (secs(2), ms(5));
    let traffic = Traffic::burst(period, 4).with_spacing(spacing);
    for behaviour in BEHAVIOURS.into_iter().filter(|behaviour| !matches!(behaviour, Behaviour::CloseAt { .. })) {
        for times in served(traffic, behaviour, secs(61)).into_values() {
            let mut groups = BTreeMap::<u64, Vec<u64>>::new();
            for time in times {
                let nanos = time.as_nanos();
                let period = period.as_nanos() as u64;
                groups.entry(nanos / period).or_default().push(nanos % period);
            }
            // Sessions open within the first ten seconds; the last group is over at 60 s.
            assert!((10..=30).all(|group| groups.contains_key(&group)), "{groups:?}");
            for offsets in groups.values() {
                assert_eq!(offsets.len(), 4, "{behaviour:?}");
                let group = spacing * 4 * 4;
                assert!(offsets.iter().all(|&offset| offset < group.as_nanos() as u64), "{behaviour:?}");
            }
        }
    }
}

/// Each peer gets cells at the mean rate, and in any second the number that chance gives: the variance of what a
/// Poisson process counts is its mean.
#[test]
fn what_each_peer_gets_is_as_random_as_it_is_to_be() {
    for behaviour in [Behaviour::Silent, Behaviour::File { at_ms: 1000, bytes: 500_000 }] {
        let end = 400_u64;
        for times in served(Traffic::poisson(ms(100)), behaviour, secs(end)).into_values() {
            let mut counts = vec![0_u32; usize::try_from(end).expect("small")];
            for time in times {
                if let Some(count) = counts.get_mut(usize::try_from(time.as_nanos() / 1_000_000_000).expect("small")) {
                    *count += 1;
                }
            }
            let counts: Vec<_> = counts[20..].iter().copied().map(f64::from).collect();
            let n = counts.len() as f64;
            let mean = counts.iter().sum::<f64>() / n;
            let variance = counts.iter().map(|count| (count - mean).powi(2)).sum::<f64>() / (n - 1.0);
            assert!((mean - 10.0).abs() < 0.5, "{mean} cells a second");
            // Of 380 seconds the ratio is one, to within four of its standard deviations.
            assert!((variance / mean - 1.0).abs() < 0.3, "variance {variance}, mean {mean}");
        }
    }
}

/// A row of the table of costs: a schedule, and how many seconds of it are counted.
struct Row {
    name: &'static str,
    traffic: Traffic,
    counted: u64,
    /// Cells an hour.
    cells: f64,
    /// How many of them leave more than a second after the one before.
    wakes: f64,
}

impl Row {
    fn regular(name: &'static str, traffic: Traffic, counted: u64) -> Self {
        let interval = traffic.interval().as_secs_f64();
        let cells = 3600.0 / interval;
        Self { name, traffic, counted, cells, wakes: if interval > 1.0 { cells } else { 0.0 } }
    }

    fn random(name: &'static str, traffic: Traffic, mean: f64, counted: u64) -> Self {
        let cells = 3600.0 / mean;
        Self { name, traffic, counted, cells, wakes: cells * (-1.0 / mean).exp() }
    }

    fn grouped(name: &'static str, period: u64, cells: u32, counted: u64) -> Self {
        let groups = 3600.0 / period as f64;
        let traffic = Traffic::burst(secs(period), cells);
        Self { name, traffic, counted, cells: groups * f64::from(cells), wakes: groups }
    }

    fn all() -> [Self; 8] {
        [
            Self::regular("`balanced`", Traffic::balanced(), 60),
            Self::regular("`high_security`", Traffic::high_security(), 600),
            Self::regular("a grid of 10 s", Traffic::constant(secs(10)), 36_000),
            Self::random("`poisson`", Traffic::poisson(ms(100)), 0.1, 600),
            Self::random("Poisson, 10 s in the mean", Traffic::poisson(secs(10)), 10.0, 36_000),
            Self::grouped("`burst`", 30, 4, 36_000),
            Self::grouped("groups of 8 every 5 min", 300, 8, 36_000),
            Self::random("low overhead, nothing said", Traffic::low_overhead_unprotected(), 1.0, 7200),
        ]
    }

    /// Cells of one idle session, and how many of them came after more than a second.
    fn count(&self) -> (f64, f64) {
        let spec = |accept| HostSpec::new(built(tight(self.traffic, 1).accept(accept))).without_signer();
        let mut net = Net::of(4, spec(Accept::Anyone(ModePolicy::A)), spec(Accept::Nobody));
        net.connect(ModePolicy::A);
        // Longer than from one cell to the next.
        net.run(secs(700));
        assert_eq!(opened(&net.world, net.client), 1, "{}", self.name);
        let from = net.world.now();
        net.run(secs(self.counted));
        let times = cells_after(&net.world, net.client, from);
        let rests = times.windows(2).filter(|pair| pair[1] - pair[0] > secs(1)).count();
        (times.len() as f64, rests as f64)
    }
}

fn cells_after(world: &World, host: HostId, from: Instant) -> Vec<Instant> {
    let cells = world.departures(host).iter().filter(|sent| sent.kind == TransmitKind::Cell && sent.time > from);
    cells.map(|sent| sent.time).collect()
}

/// A whole number as people read it: `8 640`.
fn spaced(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// The table in docs/METADATA.md: what the schedules' definitions give, and what is counted when they run.
#[test]
fn the_documented_costs_are_those_that_are_counted() {
    let mut table =
        String::from("| Schedule | cells an hour | MB a day | wake-ups an hour |\n| --- | --: | --: | --: |\n");
    for row in Row::all() {
        let hours = row.counted as f64 / 3600.0;
        let (cells, wakes) = row.count();
        for (counted, expected) in [(cells, row.cells * hours), (wakes, row.wakes * hours)] {
            // Chance has a part in what is random, and a group at either end in what is not.
            let slack = 4.0 * expected.sqrt().min(expected / 100.0 + 30.0) + 2.0;
            assert!((counted - expected).abs() <= slack, "{}: {counted} counted, {expected} expected", row.name);
        }
        let megabytes = row.cells * 24.0 * 1200.0 / 1e6;
        let megabytes = if megabytes < 100.0 { format!("{megabytes:.1}") } else { spaced(megabytes) };
        let _ = writeln!(table, "| {} | {} | {megabytes} | {} |", row.name, spaced(row.cells), spaced(row.wakes));
    }
    println!("{table}");
    let document = include_str!("../../docs/METADATA.md");
    assert!(document.contains(&table), "docs/METADATA.md has another table than\n{table}");
}

/// Jobs that take long, late timers and a host that stands still: still nothing is sent out of turn.
#[test]
fn a_device_that_oversleeps_skips_a_group_and_sends_no_other_for_it() {
    let period = secs(10);
    let spec = |accept| {
        let config = tight(Traffic::burst(period, 4), 1).idle_timeout(secs(200)).accept(accept);
        HostSpec::new(built(config)).without_signer().lateness(Latency::Zero)
    };
    let mut net = Net::of(5, spec(Accept::Anyone(ModePolicy::A)), spec(Accept::Nobody));
    let (client, _) = net.open();
    net.run(secs(35));
    let before = cells_after(&net.world, net.client, at(Duration::ZERO)).len();
    let skipped = |net: &Net| net.world.engine(net.client).expect("it runs").metrics().slots_skipped;
    assert_eq!(skipped(&net), 0);
    // Asleep over two groups, and awake in the middle of the third.
    let now = net.world.now();
    let third = at(Duration::from_nanos((now.as_nanos() / 10_000_000_000 + 3) * 10_000_000_000));
    net.act(Action::Suspend(net.client, third - now + ms(15)));
    net.say(client, &[1; 3000]);
    net.run(third - now + secs(1));
    let after = cells_after(&net.world, net.client, at(Duration::ZERO));
    // Of the third group the first cell is late; the second's successor is not due yet.
    assert_eq!(after.len() - before, 3, "{after:?}");
    assert_eq!(skipped(&net), 9);
    assert!(net.all_arrive_within(secs(30)));
}
