//! What each thread of this process has had of the processors, by the kernel's account.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

/// Processor time of every thread whose name begins with a prefix.
#[derive(Clone, Default)]
pub(crate) struct Threads(BTreeMap<u32, Duration>);

impl Threads {
    /// The threads named so, now. Empty where there is no procfs.
    pub(crate) fn named(prefix: &str) -> Self {
        let entries = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
        let threads = entries.filter_map(|entry| {
            let path = entry.path();
            let name = fs::read_to_string(path.join("comm")).ok()?;
            let account = fs::read_to_string(path.join("schedstat")).ok()?;
            let nanos = account.split_whitespace().next()?.parse().ok()?;
            let id = entry.file_name().to_str()?.parse().ok()?;
            name.starts_with(prefix).then_some((id, Duration::from_nanos(nanos)))
        });
        Self(threads.collect())
    }

    /// Those that are not in `earlier`.
    pub(crate) fn without(&self, earlier: &Self) -> Self {
        let new = self.0.iter().filter(|(id, _)| !earlier.0.contains_key(id));
        Self(new.map(|(id, time)| (*id, *time)).collect())
    }

    /// What the threads of `self` have had since.
    pub(crate) fn until(&self, later: &Self) -> Duration {
        let spent =
            |(id, then): (&u32, &Duration)| later.0.get(id).map_or(Duration::ZERO, |now| now.saturating_sub(*then));
        self.0.iter().map(spent).sum()
    }
}
