//! How things are measured: CPU time of this thread, in rounds that visit every case, and medians of the rounds.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Something to measure.
pub(crate) trait Work {
    /// Gets ready for one [`run`](Self::run); not measured.
    fn prepare(&mut self) {}

    /// Does it, and says how often.
    fn run(&mut self) -> usize;
}

/// A named piece of work.
pub(crate) struct Case {
    /// How the table's code finds it.
    pub(crate) name: String,
    work: Box<dyn Work>,
    /// Nanoseconds an operation, one entry a round.
    rounds: Vec<f64>,
}

impl Case {
    /// A case that has not been run yet.
    pub(crate) fn new(name: &str, work: impl Work + 'static) -> Self {
        Self { name: name.to_owned(), work: Box::new(work), rounds: Vec::new() }
    }

    /// Runs the work once unseen, then once more so that callgrind's collection, which is switched by the name of
    /// [`measured`], sees it. Returns the operations seen.
    pub(crate) fn count(&mut self) -> usize {
        self.work.prepare();
        self.work.run();
        self.work.prepare();
        measured(self.work.as_mut())
    }

    /// Runs the work once unseen, then once more with a look at the clock: every case finds its own code and memory in
    /// the caches, whatever ran before it.
    fn round(&mut self) {
        self.work.prepare();
        self.work.run();
        self.work.prepare();
        let start = cpu_time();
        let operations = measured(self.work.as_mut());
        let spent = cpu_time().saturating_sub(start);
        self.rounds.push(spent.as_nanos() as f64 / operations.max(1) as f64);
    }

    /// The median of the rounds, in nanoseconds an operation.
    pub(crate) fn median(&self) -> f64 {
        let mut sorted = self.rounds.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
    }

    /// Half the distance between the quartiles, as a share of the median: how noisy the machine was.
    pub(crate) fn spread(&self) -> f64 {
        let mut sorted = self.rounds.clone();
        sorted.sort_by(f64::total_cmp);
        let at = |quarter: usize| sorted.get(sorted.len() * quarter / 4).copied().unwrap_or(f64::NAN);
        (at(3) - at(1)) / 2.0 / self.median()
    }
}

/// The only place from which work is run while it is looked at; callgrind knows it by this name.
#[inline(never)]
fn measured(work: &mut dyn Work) -> usize {
    work.run()
}

/// Measures all cases in turn, `rounds` times, after two rounds that do not count. After each round it calls `between`.
pub(crate) fn interleaved(cases: &mut [Case], rounds: usize, mut between: impl FnMut()) {
    const WARM_UP: usize = 2;
    for round in 0..rounds + WARM_UP {
        for case in &mut *cases {
            case.round();
            if round < WARM_UP {
                case.rounds.clear();
            }
        }
        between();
    }
}

/// What this thread has had of the CPU: other processes' share of a busy machine does not count.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}
