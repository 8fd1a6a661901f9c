//! The record of a run: one line an event, and a hash of all of them.

use std::fmt;

use b4ae_core::Instant;
use blake2::digest::consts::U32;
use blake2::{Blake2b, Digest};

/// One line an event. The hash covers every line; the lines themselves are kept on request.
pub struct Trace {
    hash: Blake2b<U32>,
    events: u64,
    lines: Option<Vec<String>>,
    scratch: String,
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trace({} events)", self.events)
    }
}

impl Trace {
    pub(crate) fn new() -> Self {
        Self { hash: Blake2b::new(), events: 0, lines: None, scratch: String::new() }
    }

    pub(crate) fn keep_lines(&mut self) {
        self.lines.get_or_insert_default();
    }

    pub(crate) fn line(&mut self, now: Instant, what: fmt::Arguments<'_>) {
        use fmt::Write as _;
        self.scratch.clear();
        // Writing to a string cannot fail.
        let _ = write!(self.scratch, "{:>14} {what}", now.as_nanos());
        self.hash.update(self.scratch.as_bytes());
        self.hash.update(b"\n");
        self.events += 1;
        if let Some(lines) = &mut self.lines {
            lines.push(self.scratch.clone());
        }
    }

    /// Events so far.
    pub const fn events(&self) -> u64 {
        self.events
    }

    /// The hash of every line so far: equal for equal runs.
    pub fn hash(&self) -> [u8; 32] {
        self.hash.clone().finalize().into()
    }

    /// The lines, if they were asked for: nanoseconds, then what happened.
    pub fn lines(&self) -> &[String] {
        self.lines.as_deref().unwrap_or_default()
    }
}
