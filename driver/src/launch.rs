//! Launch times (`SO_TXTIME`): a cell is handed to the kernel ahead of its time, and the kernel sends it when it is due.
//!
//! That the kernel takes a launch time does not say that it keeps it: the queueing discipline `fq` does, the others ignore
//! it, and which one a datagram meets depends on its route. So the first cells are a trial: a while after each was handed
//! over, and before it is due, the kernel's own account of the socket has to say that it still has it.

#[cfg(any(target_os = "linux", target_os = "android"))]
#[path = "launch/linux.rs"]
mod kernel;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
#[path = "launch/none.rs"]
mod kernel;

use std::time::Duration;

use b4ae_core::{Clock, Instant, Path};

use crate::LaunchTimes;
use crate::socket::Socket;
pub(crate) use kernel::Kernel;

/// How long before its time a cell is handed over: longer than a real-time thread is ever late on a sound machine.
const AHEAD: Duration = Duration::from_micros(500);
/// Cells of the trial.
const TRIALS: u8 = 8;

/// What has become of the wish.
#[derive(Debug)]
pub(crate) struct Launch {
    stage: Stage,
    ahead: Duration,
}

#[derive(Debug)]
enum Stage {
    Off,
    Trying { kernel: Kernel, held: u8, look: Option<Look> },
    Trusted(Kernel),
}

/// A cell of the trial that has been handed over.
#[derive(Clone, Copy, Debug)]
struct Look {
    at: Instant,
    due: Instant,
}

impl Launch {
    /// Cells are handed over when they are due.
    pub(crate) const OFF: Self = Self { stage: Stage::Off, ahead: Duration::ZERO };

    /// Prepares `socket` for cells that are sealed `lead` ahead, or says why that cannot be.
    pub(crate) fn new(socket: &Socket, clock: &Clock, lead: Duration) -> Result<Self, String> {
        let ahead = AHEAD.min(lead / 2);
        if ahead < AHEAD / 4 {
            return Err(String::from("cells are sealed too shortly before their slots: raise the traffic's lead"));
        }
        let kernel = Kernel::new(socket.io(), clock)?;
        Ok(Self { stage: Stage::Trying { kernel, held: 0, look: None }, ahead })
    }

    /// How long before they are due cells are handed over.
    pub(crate) fn ahead(&self) -> Duration {
        self.ahead
    }

    /// When to call [`look`](Self::look).
    pub(crate) fn next_look(&self) -> Option<Instant> {
        match &self.stage {
            Stage::Trying { look, .. } => look.map(|look| look.at),
            _ => None,
        }
    }

    /// Hands over datagrams for `path` that are `due` then. Tells how many the system has taken.
    pub(crate) fn send(&mut self, socket: &Socket, path: Path, datagrams: &[u8], due: Instant) -> usize {
        let kernel = match &mut self.stage {
            Stage::Off => return socket.send(path, datagrams),
            Stage::Trusted(kernel) => kernel,
            Stage::Trying { kernel, look, .. } => {
                look.get_or_insert(Look { at: due.saturating_sub(self.ahead / 4), due });
                kernel
            }
        };
        socket.send_by(path, datagrams, |to| kernel.send(socket.io(), to, due))
    }

    /// Looks whether the kernel still has what it was handed. News, if that settles the trial.
    pub(crate) fn look(&mut self, now: Instant) -> Option<LaunchTimes> {
        let Stage::Trying { kernel, held, look } = &mut self.stage else { return None };
        let due = look.take_if(|look| look.at <= now)?.due;
        if now >= due {
            // Too late to tell.
            return None;
        }
        match kernel.holds() {
            Some(true) => *held += 1,
            Some(false) => {
                return Some(self.give_up(
                    "the system sent a cell before its time: launch times are kept where the \
                 queueing discipline of the interface is fq (tc qdisc replace dev INTERFACE root fq)",
                ));
            }
            None => return Some(self.give_up("the system does not tell what it has queued (/proc/self/net/udp)")),
        }
        if *held < TRIALS {
            return None;
        }
        let Stage::Trying { kernel, .. } = std::mem::replace(&mut self.stage, Stage::Off) else { return None };
        self.stage = Stage::Trusted(kernel);
        Some(LaunchTimes::Kernel { ahead: self.ahead })
    }

    fn give_up(&mut self, why: &str) -> LaunchTimes {
        *self = Self::OFF;
        LaunchTimes::Refused { why: why.to_owned() }
    }
}
