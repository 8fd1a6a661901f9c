//! The fields of `Limits`: what each bounds, how that is filled, and what its documentation says.

use b4ae_core::{Limits, MemoryBound};

use crate::filled::{challenges, full, half_open, prefixes, signatures, verifications};
use crate::freed;
use crate::pair::server;

pub(crate) type Part = fn(&MemoryBound) -> u64;

/// What one field of `Limits` bounds.
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) get: fn(&Limits) -> usize,
    pub(crate) set: fn(&mut Limits, u32),
    /// Two settings that it is filled at, the other fields being those of `BASE`.
    pub(crate) settings: [u32; 2],
    pub(crate) fill: fn(Limits) -> f64,
    /// The part of the bound that grows with it, and two settings at which its documentation speaks of it, the other
    /// fields being those of the default. `None` where it takes no memory of its own.
    pub(crate) part: Option<(Part, [u32; 2])>,
    /// Whether each session has so many.
    pub(crate) each_session: bool,
}

pub(crate) const FIELDS: [Field; 14] = [
    Field {
        name: "sessions",
        get: |limits| limits.sessions as usize,
        set: |limits, n| limits.sessions = n,
        settings: [4, 8],
        fill: full,
        part: Some((|bound| bound.sessions + bound.messages, [64, 128])),
        each_session: false,
    },
    Field {
        name: "sessions_per_prefix",
        get: |limits| limits.sessions_per_prefix as usize,
        set: |limits, n| limits.sessions_per_prefix = n,
        settings: [64, 128],
        fill: full,
        part: None,
        each_session: false,
    },
    Field {
        name: "half_open",
        get: |limits| limits.half_open as usize,
        set: |limits, n| limits.half_open = n,
        settings: [16, 64],
        fill: half_open,
        part: Some((|bound| bound.half_open, [64, 256])),
        each_session: false,
    },
    Field {
        name: "pending_jobs",
        get: |limits| limits.pending_jobs as usize,
        set: |limits, n| limits.pending_jobs = n,
        settings: [4, 16],
        fill: verifications,
        part: Some((|bound| bound.jobs, [64, 128])),
        each_session: false,
    },
    Field {
        name: "pending_signatures",
        get: |limits| limits.pending_signatures as usize,
        set: |limits, n| limits.pending_signatures = n,
        settings: [4, 16],
        fill: signatures,
        part: Some((|bound| bound.jobs, [16, 32])),
        each_session: false,
    },
    Field {
        name: "challenges_per_second",
        get: |limits| limits.challenges_per_second as usize,
        set: |limits, n| limits.challenges_per_second = n,
        settings: [32, 256],
        fill: challenges,
        part: Some((|bound| bound.challenges, [32, 256])),
        each_session: false,
    },
    Field {
        name: "handshakes_per_prefix",
        get: |limits| limits.handshakes_per_prefix as usize,
        set: |limits, n| limits.handshakes_per_prefix = n,
        settings: [100, 200],
        fill: prefixes,
        part: None,
        each_session: false,
    },
    Field {
        name: "prefixes",
        get: |limits| limits.prefixes as usize,
        set: |limits, n| limits.prefixes = n,
        settings: [128, 1024],
        fill: prefixes,
        part: Some((|bound| bound.prefixes, [4096, 8 << 10])),
        each_session: false,
    },
    Field {
        name: "cookies",
        get: |limits| limits.cookies as usize,
        set: |limits, n| limits.cookies = n,
        settings: [10_000, 100_000],
        fill: |limits| freed(server(limits)),
        part: Some((|bound| bound.cookies, [100_000, 200_000])),
        each_session: false,
    },
    Field {
        name: "message",
        get: |limits| limits.message,
        set: |limits, n| limits.message = n as usize,
        settings: [16 << 10, 64 << 10],
        fill: full,
        part: None,
        each_session: true,
    },
    Field {
        name: "send_bytes",
        get: |limits| limits.send_bytes,
        set: |limits, n| limits.send_bytes = n as usize,
        settings: [128 << 10, 512 << 10],
        fill: full,
        part: Some((|bound| bound.messages, [2 << 20, 4 << 20])),
        each_session: true,
    },
    Field {
        name: "send_messages",
        get: |limits| limits.send_messages,
        set: |limits, n| limits.send_messages = n as usize,
        settings: [64, 256],
        fill: full,
        part: Some((|bound| bound.sessions, [256, 512])),
        each_session: true,
    },
    Field {
        name: "receive_bytes",
        get: |limits| limits.receive_bytes,
        set: |limits, n| limits.receive_bytes = n as usize,
        settings: [128 << 10, 512 << 10],
        fill: full,
        part: Some((|bound| bound.messages + bound.sessions, [2 << 20, 4 << 20])),
        each_session: true,
    },
    Field {
        name: "reorder_window",
        get: |limits| limits.reorder_window,
        set: |limits, n| limits.reorder_window = n as usize,
        settings: [64, 256],
        fill: full,
        part: Some((|bound| bound.sessions, [64, 128])),
        each_session: true,
    },
];

impl Field {
    pub(crate) fn at(&self, mut limits: Limits, n: u32) -> Limits {
        (self.set)(&mut limits, n);
        limits
    }

    /// How much more of something there is at the second setting, for each one more of this.
    pub(crate) fn unit(&self, limits: Limits, settings: [u32; 2], what: impl Fn(Limits) -> f64) -> f64 {
        let [less, more] = settings.map(|n| what(self.at(limits, n)));
        let sessions = if self.each_session { f64::from(limits.sessions) } else { 1.0 };
        (more - less) / f64::from(settings[1] - settings[0]) / sessions
    }

    /// What the field's documentation says: the number in "Memory: at most N bytes", or that there is none.
    pub(crate) fn documented(&self) -> Option<f64> {
        let source = include_str!("../../../core/src/config.rs");
        let limits = source.split("pub struct Limits {").nth(1).expect("there are limits");
        let before = limits.split(&format!("    pub {}:", self.name)).next().expect("the field is there");
        let lines = before.lines().rev().take_while(|line| line.trim_start().starts_with("///"));
        let lines: Vec<_> = lines.map(|line| line.trim_start_matches([' ', '/'])).collect();
        let text = lines.into_iter().rev().collect::<Vec<_>>().join(" ");
        let Some((_, number)) = text.split_once("Memory: at most ") else {
            assert!(text.contains("No memory of its own"), "{}: it is not said what it takes: {text}", self.name);
            return None;
        };
        let number = number.split(" byte").next().expect("there is always one").replace(' ', "");
        Some(number.parse().unwrap_or_else(|_| panic!("{}: not a number: {number}", self.name)))
    }
}
