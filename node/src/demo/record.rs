//! What was done and what was seen, over the time of watching.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use b4ae_core::Instant;

use super::relay::{Direction, Sightings};

/// A message on its way: from the application's call to the peer's confirmation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trip {
    /// When the application handed it over.
    pub(crate) start: Instant,
    /// When it was confirmed, if it has been.
    pub(crate) end: Option<Instant>,
    /// Its length in bytes.
    pub(crate) bytes: u32,
}

/// The messages of one link, both ways, shared between those who send and those who look.
#[derive(Clone, Debug, Default)]
pub(crate) struct Activity(Arc<Mutex<Vec<Trip>>>);

impl Activity {
    fn lock(&self) -> MutexGuard<'_, Vec<Trip>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A message of `bytes` bytes is handed over. The answer names it for [`end`](Self::end).
    pub(crate) fn begin(&self, at: Instant, bytes: usize) -> usize {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let mut trips = self.lock();
        trips.push(Trip { start: at, end: None, bytes });
        trips.len() - 1
    }

    /// The message has been confirmed.
    pub(crate) fn end(&self, trip: usize, at: Instant) {
        if let Some(trip) = self.lock().get_mut(trip) {
            trip.end = Some(at);
        }
    }

    /// All messages so far.
    pub(crate) fn trips(&self) -> Vec<Trip> {
        self.lock().clone()
    }
}

/// A stretch of time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    /// Its beginning.
    pub(crate) start: Instant,
    /// How long it is.
    pub(crate) length: Duration,
}

impl Window {
    /// Its end, no longer part of it.
    pub(crate) fn end(&self) -> Instant {
        self.start + self.length
    }

    /// The `n`th of `of` equal parts.
    pub(crate) fn part(&self, n: u32, of: u32) -> Self {
        let (start, end) = (self.length * n / of, self.length * (n + 1) / of);
        Self { start: self.start + start, length: end.saturating_sub(start) }
    }

    fn contains(&self, at: Instant) -> bool {
        self.start <= at && at < self.end()
    }
}

/// One client's link to the server.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    /// A short name.
    pub(crate) name: &'static str,
    /// What the client does.
    pub(crate) does: &'static str,
    /// What the applications at both ends do.
    pub(crate) activity: Activity,
    /// What the network sees.
    pub(crate) sightings: Sightings,
}

/// Both sides of a link's story, over equal parts of a window.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    /// Bytes on their way at some moment of the part.
    pub(crate) bytes: Vec<u32>,
    /// Datagrams seen, both ways.
    pub(crate) datagrams: Vec<u32>,
}

impl Link {
    /// The story over `parts` parts of `window`, as far as they were over at `now`.
    pub(crate) fn series(&self, window: Window, parts: u32, now: Instant) -> Series {
        let trips = self.activity.trips();
        let done: Vec<_> = (0..parts).map(|n| window.part(n, parts)).take_while(|part| part.end() <= now).collect();
        let under_way = |part: &Window| {
            let overlaps = |trip: &&Trip| trip.start < part.end() && trip.end.is_none_or(|end| end >= part.start);
            trips.iter().filter(overlaps).map(|trip| trip.bytes).fold(0, u32::saturating_add)
        };
        let mut datagrams = vec![0; done.len()];
        self.sightings.with(|all| {
            for sighting in all.iter().filter(|s| window.contains(s.at)) {
                let after = done.partition_point(|part| part.end() <= sighting.at);
                if let Some(count) = datagrams.get_mut(after) {
                    *count += 1;
                }
            }
        });
        Series { bytes: done.iter().map(under_way).collect(), datagrams }
    }

    /// Datagrams seen in `window`, up and down.
    pub(crate) fn count(&self, window: Window) -> [u64; 2] {
        self.sightings.with(|all| {
            [Direction::Up, Direction::Down].map(|direction| {
                all.iter().filter(|s| s.direction == direction && window.contains(s.at)).count() as u64
            })
        })
    }

    /// Every length seen since the link began, its handshake included.
    pub(crate) fn lengths(&self) -> BTreeSet<u16> {
        self.sightings.with(|all| all.iter().map(|s| s.len).collect())
    }

    /// The longest time a message was on its way.
    pub(crate) fn longest_trip(&self) -> Option<Window> {
        let trips = self.activity.trips().into_iter();
        trips
            .filter_map(|trip| trip.end.map(|end| Window { start: trip.start, length: end - trip.start }))
            .max_by_key(|window| window.length)
    }
}

#[cfg(test)]
mod tests {
    use super::super::relay::Sighting;
    use super::*;

    fn at(millis: u64) -> Instant {
        Instant::ORIGIN + Duration::from_millis(millis)
    }

    #[test]
    fn the_story_is_told_part_by_part_and_not_ahead_of_time() {
        let link = Link { name: "", does: "", activity: Activity::default(), sightings: Sightings::default() };
        let trip = link.activity.begin(at(150), 10);
        link.activity.end(trip, at(250));
        link.activity.begin(at(310), 5);
        for millis in [50, 100, 199, 200, 399, 400, 499] {
            link.sightings.push(Sighting { at: at(millis), direction: Direction::Up, len: 1200 });
        }
        let window = Window { start: at(100), length: Duration::from_millis(400) };
        let series = link.series(window, 4, at(450));
        assert_eq!(series.bytes, [10, 10, 5]);
        assert_eq!(series.datagrams, [2, 1, 1]);
        assert_eq!(link.count(window), [6, 0]);
        assert_eq!(link.longest_trip().map(|trip| trip.length), Some(Duration::from_millis(100)));
    }
}
