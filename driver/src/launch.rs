//! Launch times (`SO_TXTIME`): a cell is handed to the kernel ahead of its time, and the kernel sends it when it is
//! due.
//!
//! That the kernel takes a launch time does not say that it keeps it: the queueing discipline `fq` does, the others
//! ignore it, and which one a datagram meets depends on its route. So the first cells are a trial: a while after each
//! was handed over, and before it is due, the kernel's own account of the socket has to say that it still has it.

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
const NOT_KEPT: &str = "the system sent a cell before its time: launch times are kept where the queueing discipline of the \
                        interface is fq (tc qdisc replace dev INTERFACE root fq)";
const NOT_TOLD: &str = "the system does not tell what it has queued (/proc/self/net/udp)";
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
        if lead.is_zero() {
            return Err(String::from("cells are not sealed ahead of their slots"));
        }
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
            Stage::Trusted(kernel) | Stage::Trying { kernel, .. } => kernel,
        };
        let taken = socket.send_by(path, datagrams, |to| kernel.send(socket.io(), to, due));
        // What the system has not taken, it cannot have.
        if let Stage::Trying { look, .. } = &mut self.stage
            && taken > 0
        {
            look.get_or_insert(Look { at: due.saturating_sub(self.ahead / 2), due });
        }
        taken
    }

    /// Looks whether the kernel still has what it was handed. News, if that settles the trial.
    pub(crate) fn look(&mut self, now: impl Fn() -> Instant) -> Option<LaunchTimes> {
        let Stage::Trying { kernel, look, .. } = &mut self.stage else { return None };
        let due = look.take_if(|look| look.at <= now())?.due;
        // Once it is due, it is too late to tell.
        if now() >= due {
            return None;
        }
        match kernel.holds() {
            // Gone, and due by now: it may have left when it should.
            Some(false) if now() >= due => None,
            Some(still) => self.judge(still),
            None => Some(self.give_up(NOT_TOLD)),
        }
    }

    /// Whether the kernel `still` had a cell of the trial before it was due. News, if that settles the trial.
    fn judge(&mut self, still: bool) -> Option<LaunchTimes> {
        let Stage::Trying { held, .. } = &mut self.stage else { return None };
        if !still {
            return Some(self.give_up(NOT_KEPT));
        }
        *held += 1;
        if *held < TRIALS {
            return None;
        }
        let Stage::Trying { kernel, .. } = std::mem::replace(&mut self.stage, Stage::Off) else { return None };
        self.stage = Stage::Trusted(kernel);
        Some(LaunchTimes::Kernel { ahead: self.ahead })
    }

    #[cfg(test)]
    pub(crate) fn trust(&mut self) {
        while self.judge(true).is_none() {}
    }

    fn give_up(&mut self, why: &str) -> LaunchTimes {
        *self = Self::OFF;
        LaunchTimes::Refused { why: why.to_owned() }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    fn on_trial() -> Launch {
        let socket = Socket::bind("127.0.0.1:0".parse().expect("an address")).expect("loopback can be bound");
        Launch::new(&socket, &Clock::new(), Duration::from_millis(2)).expect("Linux takes them")
    }

    #[test]
    fn the_kernel_is_trusted_after_a_trial_without_a_fault() {
        let mut launch = on_trial();
        assert!((1..TRIALS).all(|_| launch.judge(true).is_none()));
        assert_eq!(launch.judge(true), Some(LaunchTimes::Kernel { ahead: AHEAD }));
        assert!(matches!(launch.stage, Stage::Trusted(_)));
        assert_eq!((launch.ahead(), launch.next_look(), launch.judge(false)), (AHEAD, None, None));
    }

    #[test]
    fn one_cell_sent_early_ends_the_trial() {
        for good in 0..TRIALS {
            let mut launch = on_trial();
            assert!((0..good).all(|_| launch.judge(true).is_none()));
            assert!(matches!(launch.judge(false), Some(LaunchTimes::Refused { why }) if why.contains("fq")));
            assert!(matches!(launch.stage, Stage::Off) && launch.ahead() == Duration::ZERO);
        }
    }

    #[test]
    fn a_look_that_comes_too_late_shows_nothing() {
        let mut launch = on_trial();
        let (at, due) = (Instant::from_nanos(1_000), Instant::from_nanos(2_000));
        let Stage::Trying { look, .. } = &mut launch.stage else { panic!("on trial") };
        *look = Some(Look { at, due });
        assert_eq!(launch.look(|| Instant::from_nanos(999)), None);
        assert_eq!(launch.next_look(), Some(at));
        assert_eq!(launch.look(|| due), None);
        assert_eq!(launch.next_look(), None);
        assert!(matches!(launch.stage, Stage::Trying { held: 0, .. }));
    }

    #[test]
    fn a_lead_too_short_is_refused() {
        let socket = Socket::bind("127.0.0.1:0".parse().expect("an address")).expect("loopback can be bound");
        assert!(Launch::new(&socket, &Clock::new(), Duration::from_micros(200)).is_err());
    }
}
