//! When each session's next cell leaves: decided before any queue is looked at, by one of three schedules.
//!
//! All keep the same rule. What is due, and whose it is, follows from a key that nothing else uses, from when sessions
//! joined and left, and from the time; never from what is to be said. A slot is handed out `lead` ahead. One that
//! passed while the driver was away is skipped and counted, never made up for.

mod burst;
mod grid;
mod poisson;
mod round;

use crate::config::{Pattern, Traffic};
use crate::memory;
use crate::scheduler::burst::Burst;
use crate::scheduler::grid::Grid;
use crate::scheduler::poisson::{Point, Poisson};
use crate::secret::Secret;
use crate::time::{Instant, nanos};

enum Schedule {
    Grid(Grid),
    Poisson(Poisson),
    Burst(Burst),
}

/// The same call to whichever schedule is in force.
macro_rules! each {
    ($scheduler:expr, $it:ident => $call:expr) => {
        match &$scheduler.schedule {
            Schedule::Grid($it) => $call,
            Schedule::Poisson($it) => $call,
            Schedule::Burst($it) => $call,
        }
    };
    (mut $scheduler:expr, $it:ident => $call:expr) => {
        match &mut $scheduler.schedule {
            Schedule::Grid($it) => $call,
            Schedule::Poisson($it) => $call,
            Schedule::Burst($it) => $call,
        }
    };
}

/// Hands out slots: whose cell is to be sealed, and when it is to leave.
pub(crate) struct Scheduler {
    schedule: Schedule,
    lead: u64,
    /// The time of the last `handle_timeout`: nothing else brings a cell forth.
    armed: u64,
    /// When the last session joined.
    joined: u64,
    #[cfg(b4ae_mutants)]
    pub(crate) burst_catch_up: bool,
}

impl Scheduler {
    pub(crate) fn new(traffic: &Traffic, key: Secret<32>) -> Self {
        let interval = nanos(traffic.interval);
        let schedule = match traffic.pattern {
            // Nobody joins this grid whose cells do not wait for slots.
            Pattern::Constant | Pattern::LowOverhead { .. } => Schedule::Grid(Grid::new(interval, key)),
            Pattern::Poisson => Schedule::Poisson(Poisson::new(interval, nanos(traffic.tolerance()), key)),
            Pattern::Burst { period, cells } => Schedule::Burst(Burst::new(nanos(period), interval, cells, key)),
        };
        Self {
            schedule,
            lead: nanos(traffic.lead),
            armed: 0,
            joined: 0,
            #[cfg(b4ae_mutants)]
            burst_catch_up: false,
        }
    }

    /// The most bytes of heap that the schedule of so many sessions takes, beside its keys.
    pub(crate) fn bound(traffic: &Traffic, sessions: usize) -> u64 {
        match traffic.pattern {
            Pattern::Poisson => memory::vec::<Point>(sessions),
            Pattern::Constant | Pattern::Burst { .. } | Pattern::LowOverhead { .. } => memory::vec::<u32>(sessions),
        }
    }

    /// Slots that passed while the driver was away, and had an owner.
    pub(crate) fn skipped(&self) -> u64 {
        each!(self, it => it.skipped())
    }

    /// Nanoseconds between two slots of one session, in the mean.
    pub(crate) fn gap(&self) -> u64 {
        each!(self, it => it.gap())
    }

    pub(crate) fn arm(&mut self, now: Instant) {
        self.armed = self.armed.max(now.as_nanos());
    }

    /// When the scheduler is to be armed next. A lead ahead of the next slot; and where slots are rare, a lead earlier
    /// still, so that what the application said since the last is there when the cell is sealed.
    pub(crate) fn next_call(&self) -> Option<Instant> {
        let seal = each!(self, it => it.time())?.saturating_sub(self.lead);
        let early = seal.saturating_sub(self.lead);
        let rested = each!(self, it => it.is_after_rest());
        // Whoever joins may do so between the two, and there is nothing to be called for in the past.
        let known = self.armed.max(self.joined);
        Some(Instant::from_nanos(if rested && early > known { early } else { seal }))
    }

    /// Gives a session slots. The first is late enough to be sealed in time.
    pub(crate) fn join(&mut self, session: u32, now: Instant) {
        self.joined = self.joined.max(now.as_nanos());
        // At the end of time there is no such slot.
        let from = now.as_nanos().checked_add(self.lead);
        each!(mut self, it => it.join(session, from));
    }

    /// Whether the slot handed out last may be its owner's last.
    pub(crate) fn may_leave(&self) -> bool {
        match &self.schedule {
            Schedule::Grid(_) | Schedule::Poisson(_) => true,
            Schedule::Burst(burst) => burst.is_last_round(),
        }
    }

    /// Takes later slots from `session`, whose slot was the last one handed out. No slot of another's moves for it.
    pub(crate) fn leave(&mut self, session: u32) {
        each!(mut self, it => it.leave(session));
    }

    /// Stops, without sessions.
    pub(crate) fn clear(&mut self) {
        each!(mut self, it => it.clear());
    }

    /// The next slot that is due, its owner and its time.
    pub(crate) fn step(&mut self) -> Option<(u32, Instant)> {
        let (armed, until) = (self.armed, self.armed.saturating_add(self.lead));
        #[cfg(b4ae_mutants)]
        let armed = if self.burst_catch_up { 0 } else { armed };
        let (owner, at) = each!(mut self, it => {
            it.skip_late(armed);
            it.step(until)
        })?;
        Some((owner, Instant::from_nanos(at)))
    }

    /// One draw more than there should be.
    #[cfg(b4ae_mutants)]
    pub(crate) fn draw_once_more(&mut self) {
        each!(mut self, it => it.draw_once_more());
    }

    /// The next slot of the session whose slot was the last one handed out comes sooner.
    #[cfg(b4ae_mutants)]
    pub(crate) fn hasten(&mut self) {
        if let Schedule::Poisson(poisson) = &mut self.schedule {
            poisson.hasten();
        }
    }

    /// The group gets another round.
    #[cfg(b4ae_mutants)]
    pub(crate) fn stretch(&mut self) {
        if let Schedule::Burst(burst) = &mut self.schedule {
            burst.stretch();
        }
    }
}

/// What all schedules are tested with.
#[cfg(test)]
mod testing {
    use alloc::vec::Vec;

    use super::*;

    pub(super) const LEAD: u64 = 2_000_000;

    impl Scheduler {
        /// Arms it every millisecond from one time to another; the slots it hands out, in order.
        pub(super) fn run(&mut self, from: u64, until: u64) -> Vec<(u32, u64)> {
            let mut slots = Vec::new();
            for now in (from..=until).step_by(1_000_000) {
                self.arm(Instant::from_nanos(now));
                while let Some((owner, at)) = self.step() {
                    slots.push((owner, at.as_nanos()));
                }
            }
            slots
        }

        /// As [`run`](Self::run), armed only when it asks for it; and how often that was.
        pub(super) fn run_asked(&mut self, until: u64) -> (Vec<(u32, u64)>, usize) {
            let (mut slots, mut calls) = (Vec::new(), 0);
            while let Some(at) = self.next_call().filter(|at| at.as_nanos() <= until) {
                self.arm(at);
                calls += 1;
                while let Some((owner, at)) = self.step() {
                    slots.push((owner, at.as_nanos()));
                }
                assert!(self.next_call().is_none_or(|next| next > at), "it spins at {at:?}");
            }
            (slots, calls)
        }
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;

    fn all() -> [Traffic; 3] {
        [Traffic::balanced(), Traffic::poisson(Duration::from_millis(50)), Traffic::burst(Duration::from_secs(2), 3)]
    }

    fn started(traffic: &Traffic, key: u8, sessions: u32) -> Scheduler {
        let mut scheduler = Scheduler::new(traffic, Secret::new([key; 32]));
        (0..sessions).for_each(|session| scheduler.join(session, Instant::ORIGIN));
        scheduler
    }

    #[test]
    fn slots_follow_from_the_key_alone() {
        for traffic in all() {
            let run = |key| started(&traffic, key, 5).run(0, 20_000_000_000);
            assert_eq!(run(3), run(3), "{traffic:?}");
            assert_ne!(run(3), run(4), "{traffic:?}");
        }
    }

    #[test]
    fn the_gap_is_what_lies_between_two_slots_of_one_session() {
        let within = [Traffic::burst(Duration::from_millis(1100), 1), Traffic::constant(Duration::from_millis(7))];
        for traffic in all().into_iter().chain(within) {
            for sessions in [1, 3, 8] {
                let mut scheduler = started(&traffic, 2, sessions);
                // The first round on the grid was of who joined first.
                let begun = 20_000_000_000;
                scheduler.run(0, begun);
                let gap = scheduler.gap();
                let slots = scheduler.run(begun, begun + 1000 * gap);
                for session in 0..sessions {
                    let own = slots.iter().filter(|(owner, _)| *owner == session).count();
                    assert!((900..=1100).contains(&own), "{own} slots in a thousand gaps: {traffic:?}");
                }
            }
        }
    }

    /// However often the driver comes, the slots are those that it asks for.
    #[test]
    fn slots_are_the_same_whenever_it_is_armed() {
        for traffic in all() {
            let often = started(&traffic, 1, 3).run(0, 30_000_000_000);
            let (asked, calls) = started(&traffic, 1, 3).run_asked(30_000_000_000);
            assert_eq!(often, asked, "{traffic:?}");
            assert!(calls <= asked.len() * 2, "{calls} calls for {} slots: {traffic:?}", asked.len());
        }
    }

    #[test]
    fn a_slot_is_handed_out_a_lead_ahead_and_never_before() {
        for traffic in all() {
            let mut scheduler = started(&traffic, 5, 1);
            for _ in 0..20 {
                let at = each!(scheduler, it => it.time()).expect("there is a session");
                scheduler.arm(Instant::from_nanos(at - testing::LEAD - 1));
                assert_eq!(scheduler.step(), None, "{traffic:?}");
                scheduler.arm(Instant::from_nanos(at - testing::LEAD));
                // On the grid and within a group a slot may be silent, but not with one session.
                assert_eq!(scheduler.step(), Some((0, Instant::from_nanos(at))), "{traffic:?}");
            }
        }
    }

    #[test]
    fn where_slots_are_rare_it_asks_to_be_called_a_lead_before_it_seals() {
        let rare = [
            Traffic::constant(Duration::from_secs(5)),
            Traffic::poisson(Duration::from_secs(5)),
            Traffic::burst(Duration::from_secs(5), 1),
        ];
        for traffic in rare {
            let mut scheduler = started(&traffic, 6, 1);
            let (slots, calls) = scheduler.run_asked(300_000_000_000);
            assert!(slots.len() > 30 && calls == 2 * slots.len(), "{calls} for {}: {traffic:?}", slots.len());
        }
        for traffic in [Traffic::balanced(), Traffic::poisson(Duration::from_millis(100))] {
            let (slots, calls) = started(&traffic, 6, 1).run_asked(30_000_000_000);
            assert!(calls <= slots.len(), "{calls} for {}: {traffic:?}", slots.len());
        }
    }

    #[test]
    fn whoever_joins_has_nobody_called_in_the_past() {
        for traffic in all().into_iter().chain([Traffic::burst(Duration::from_secs(1), 4)]) {
            // From two leads before a slot to a lead after it, in quarters of a lead.
            for quarter in 0..12 {
                let mut scheduler = Scheduler::new(&traffic, Secret::new([9; 32]));
                let slot = nanos(Duration::from_secs(60));
                let now = Instant::from_nanos(slot - 2 * testing::LEAD + quarter * testing::LEAD / 4);
                scheduler.join(0, now);
                let next = scheduler.next_call().expect("there is a session");
                assert!(next >= now, "{next:?} at {now:?}: {traffic:?}");
            }
        }
    }

    #[test]
    fn without_sessions_it_stands_still() {
        for traffic in all() {
            let mut scheduler = started(&traffic, 8, 2);
            scheduler.clear();
            let now = Instant::from_nanos(1 << 40);
            scheduler.arm(now);
            assert_eq!((scheduler.step(), scheduler.next_call()), (None, None), "{traffic:?}");
            scheduler.join(0, now);
            assert!(scheduler.next_call().is_some_and(|at| at > now), "{traffic:?}");
            // The last one to leave stops it.
            let mut left = false;
            while let Some(at) = scheduler.next_call() {
                scheduler.arm(at);
                while let Some((owner, _)) = scheduler.step() {
                    assert!(owner == 0 && !left, "{traffic:?}");
                    if scheduler.may_leave() {
                        scheduler.leave(0);
                        left = true;
                    }
                }
            }
            assert!(left, "{traffic:?}");
            assert_eq!(scheduler.step(), None);
        }
    }

    #[test]
    fn only_the_owner_of_the_last_slot_leaves() {
        for traffic in all() {
            let (mut scheduler, mut undisturbed) = (started(&traffic, 4, 2), started(&traffic, 4, 2));
            for now in (0..10_000).map(|ms| Instant::from_nanos(ms * 1_000_000)) {
                scheduler.arm(now);
                undisturbed.arm(now);
                while let Some((owner, at)) = scheduler.step() {
                    assert_eq!(undisturbed.step(), Some((owner, at)));
                    scheduler.leave(1 - owner);
                }
                assert_eq!(undisturbed.step(), None);
            }
        }
    }

    /// What is skipped is counted: with what is handed out it makes as much as there is without an absence. A process
    /// without memory begins anew after a long one, and then the count is what is to be expected.
    #[test]
    fn what_is_skipped_is_counted() {
        for traffic in all() {
            let mut late = started(&traffic, 9, 3);
            let before = late.run(0, 60_000_000_000).len() as u64;
            let back = 300_000_000_000;
            let after = late.run(back, 400_000_000_000).len() as u64;
            let all = started(&traffic, 9, 3).run(0, 400_000_000_000).len() as u64;
            let counted = before + late.skipped() + after;
            assert!(counted.abs_diff(all) * 50 < all, "{counted} of {all}: {traffic:?}");
            assert!(late.skipped() > all / 2, "{traffic:?}");
        }
    }

    #[test]
    fn what_begins_at_the_end_of_time_has_no_slot() {
        for traffic in all() {
            let (lead, interval) = (nanos(traffic.lead), nanos(traffic.interval));
            for back in [0, 1, lead / 2, lead, interval * 2] {
                let mut scheduler = Scheduler::new(&traffic, Secret::new([1; 32]));
                let now = Instant::from_nanos(u64::MAX - back);
                scheduler.arm(now);
                scheduler.join(0, now);
                let slots = core::iter::from_fn(|| scheduler.step()).take(1000).count();
                assert!(slots < 1000, "slots without end at {back} ns before the end: {traffic:?}");
                assert!(scheduler.next_call().is_none_or(|at| at > now), "{back} ns before the end: {traffic:?}");
            }
        }
    }
}
