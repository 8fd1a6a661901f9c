//! Scripted applications: what each session's user does, as a function of the seed and the time since the session
//! opened.

use std::time::Duration;

use b4ae_core::Instant;

use crate::draws::up_to;

/// What the application does with each of its sessions. Times count from the opening of the session, in milliseconds.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Behaviour {
    /// Nothing.
    #[default]
    Silent,
    /// Sends `messages` of `len` bytes, all at once.
    Burst {
        /// When.
        at_ms: u32,
        /// How many.
        messages: u32,
        /// How long each.
        len: u32,
    },
    /// Sends `len` bytes again and again.
    Steady {
        /// The gap.
        every_ms: u32,
        /// How long each.
        len: u32,
    },
    /// Sends `bytes` in messages of 16 KiB.
    File {
        /// When.
        at_ms: u32,
        /// How much.
        bytes: u32,
    },
    /// Sends short messages, up to `max_len` bytes, with random gaps.
    Chat {
        /// The mean gap.
        mean_ms: u32,
        /// The longest message.
        max_len: u32,
    },
    /// Sends `len` bytes unordered, again and again.
    Datagrams {
        /// The gap.
        every_ms: u32,
        /// How long each.
        len: u32,
    },
    /// Queues messages before the session is open, if it is the one to connect.
    Eager {
        /// How many.
        messages: u32,
        /// How long each.
        len: u32,
    },
    /// Sends back whatever it takes.
    Echo,
    /// Closes the session.
    CloseAt {
        /// When.
        at_ms: u32,
    },
}

/// When the application takes messages.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Reading {
    /// As they come.
    #[default]
    Prompt,
    /// Never.
    Never,
    /// From this time on, in milliseconds from the start of the world.
    FromMs(u32),
}

impl Reading {
    pub(crate) fn starts(self) -> Option<Instant> {
        match self {
            Self::Prompt => Some(Instant::ORIGIN),
            Self::Never => None,
            Self::FromMs(ms) => Some(Instant::ORIGIN + millis(ms)),
        }
    }
}

pub(crate) fn millis(ms: u32) -> Duration {
    Duration::from_millis(ms.into())
}

/// One thing an application does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Operation {
    Send { len: usize, ordered: bool },
    Close,
}

/// Message length of [`Behaviour::File`].
const CHUNK: u32 = 16 * 1024;

impl Behaviour {
    /// The `n`th operation and when it comes, `last` being the time of the one before, both since the opening.
    pub(crate) fn operation(self, n: u32, last: Duration, rng: &mut fastrand::Rng) -> Option<(Duration, Operation)> {
        let send = |len: u32| Operation::Send { len: len as usize, ordered: true };
        match self {
            Self::Silent | Self::Echo => None,
            Self::Burst { at_ms, messages, len } => (n < messages).then(|| (millis(at_ms), send(len))),
            Self::Eager { messages, len } => (n < messages).then(|| (Duration::ZERO, send(len))),
            Self::Steady { every_ms, len } => Some((last + millis(every_ms.max(1)), send(len))),
            Self::Datagrams { every_ms, len } => {
                Some((last + millis(every_ms.max(1)), Operation::Send { len: len as usize, ordered: false }))
            }
            Self::File { at_ms, bytes } => {
                let done = n.checked_mul(CHUNK)?;
                let left = bytes.checked_sub(done).filter(|left| *left > 0)?;
                Some((millis(at_ms), send(left.min(CHUNK))))
            }
            Self::Chat { mean_ms, max_len } => {
                // The sum of two even draws: no gap is certain, few are long.
                let mean = u64::from(mean_ms.max(1)) * 1_000_000;
                let gap = up_to(rng, mean) + up_to(rng, mean);
                Some((last + Duration::from_nanos(gap.max(1_000)), send(rng.u32(0..=max_len))))
            }
            Self::CloseAt { at_ms } => (n == 0).then(|| (millis(at_ms), Operation::Close)),
        }
    }
}

/// The application's side of one session.
#[derive(Debug)]
pub(crate) struct App {
    behaviour: Behaviour,
    rng: fastrand::Rng,
    started: Option<Instant>,
    count: u32,
    last: Duration,
    next: Option<(Duration, Operation)>,
    /// A message that found the queue full, until `Writable`.
    pub(crate) waiting: Option<(Vec<u8>, bool)>,
    pub(crate) echoes: std::collections::VecDeque<Vec<u8>>,
}

/// Echoes an application holds while its peer takes none.
const ECHOES: usize = 64;

impl App {
    pub(crate) const fn new(behaviour: Behaviour, rng: fastrand::Rng) -> Self {
        Self {
            behaviour,
            rng,
            started: None,
            count: 0,
            last: Duration::ZERO,
            next: None,
            waiting: None,
            echoes: std::collections::VecDeque::new(),
        }
    }

    /// Whether it writes before the session is open.
    pub(crate) const fn is_eager(&self) -> bool {
        matches!(self.behaviour, Behaviour::Eager { .. })
    }

    pub(crate) fn start(&mut self, now: Instant) {
        if self.started.is_none() {
            self.started = Some(now);
            self.advance();
        }
    }

    fn advance(&mut self) {
        self.next = self.behaviour.operation(self.count, self.last, &mut self.rng);
    }

    /// When it acts next.
    pub(crate) fn due(&self) -> Option<Instant> {
        if self.waiting.is_some() {
            return None;
        }
        Some(self.started? + self.next?.0)
    }

    /// What it does now, if anything.
    pub(crate) fn take(&mut self, now: Instant) -> Option<Operation> {
        if self.due()? > now {
            return None;
        }
        let (at, operation) = self.next?;
        self.count = self.count.saturating_add(1);
        self.last = at;
        self.advance();
        Some(operation)
    }

    /// Notes a message to send back, if that is what it does.
    pub(crate) fn took(&mut self, message: &[u8]) {
        if self.behaviour == Behaviour::Echo && self.echoes.len() < ECHOES {
            self.echoes.push_back(message.to_vec());
        }
    }

    /// Stops it: the session is closing.
    pub(crate) fn stop(&mut self) {
        self.next = None;
        self.waiting = None;
        self.echoes.clear();
    }

    /// The next message's content: nothing two messages share, but for the shortest.
    pub(crate) fn message(&mut self, len: usize) -> Vec<u8> {
        let mut message = vec![0; len];
        self.rng.fill(&mut message);
        message
    }
}
