//! Whether the network could tell the links apart, computed from what was measured.

use std::collections::BTreeSet;

use b4ae_core::DATAGRAM_LEN;

use super::record::{Link, Window};

/// By how many datagrams two links may differ in one direction over the same time, all slots kept: at each end of the
/// time one may fall inside on one link and outside on the other because their grids are not in step, and one more
/// because the server's slots change places within a round.
const EDGES: u64 = 4;

/// The share of slots, one in so many, beyond whose loss there is no verdict: with enough skipped, any links look
/// alike.
const TOO_MANY: u64 = 20;

/// What was measured, apart from the links' own records.
#[derive(Clone, Debug)]
pub(crate) struct Totals {
    /// Messages handed over.
    pub(crate) sent: u64,
    /// Of those, confirmed to their sender.
    pub(crate) confirmed: u64,
    /// Messages that came out at the other end.
    pub(crate) delivered: u64,
    /// Whole and unchanged copies of the file that came out.
    pub(crate) files: u64,
    /// Slots kept during the watch, at all endpoints.
    pub(crate) slots_sent: u64,
    /// Slots that passed unused because this process was late, at all endpoints.
    pub(crate) slots_skipped: u64,
}

/// One question to the measurement.
#[derive(Clone, Debug)]
pub(crate) struct Check {
    /// The answer.
    pub(crate) holds: bool,
    /// The statement that holds or not, with its numbers.
    pub(crate) what: String,
}

/// All checks, over `window`. `file` is the link the file went over.
pub(crate) fn checks(links: &[Link], file: &Link, window: Window, totals: &Totals) -> Vec<Check> {
    let lengths: BTreeSet<u16> = links.iter().flat_map(Link::lengths).collect();
    let mut checks = vec![
        Check {
            holds: !lengths.is_empty() && lengths.iter().all(|len| usize::from(*len) == DATAGRAM_LEN),
            what: format!("every datagram was {DATAGRAM_LEN} bytes long; lengths seen: {}", list(lengths.iter())),
        },
        Check {
            holds: totals.slots_skipped.saturating_mul(TOO_MANY) <= totals.slots_sent,
            what: format!(
                "this machine kept {} slots and skipped {}: few enough to tell",
                totals.slots_sent, totals.slots_skipped
            ),
        },
        same(links, window, totals.slots_skipped, "the links carried"),
    ];
    match file.longest_trip() {
        Some(trip) => {
            let what = format!("in the {:.1} s while the file was on its way they carried", trip.length.as_secs_f64());
            checks.push(same(links, trip, totals.slots_skipped, &what));
        }
        None => checks.push(Check { holds: false, what: "the file was confirmed in time".into() }),
    }
    checks.push(Check {
        holds: totals.sent == totals.confirmed && totals.sent == totals.delivered && totals.files == 1,
        what: format!(
            "every message arrived once and the file unchanged; sent {}, confirmed {}, arrived {}, files {}",
            totals.sent, totals.confirmed, totals.delivered, totals.files
        ),
    });
    checks
}

fn same(links: &[Link], window: Window, skipped: u64, what: &str) -> Check {
    let counts: Vec<_> = links.iter().map(|link| link.count(window)).collect();
    let spread = |direction: usize| {
        let of = || counts.iter().map(|count| count[direction]);
        of().max().unwrap_or(0) - of().min().unwrap_or(0)
    };
    let allowed = EDGES + skipped;
    Check {
        holds: counts.iter().flatten().all(|count| *count > 0) && spread(0).max(spread(1)) <= allowed,
        what: format!(
            "{what} {} datagrams: the same, to within {allowed} slots each way",
            list(counts.iter().map(|[up, down]| up + down))
        ),
    }
}

fn list(numbers: impl Iterator<Item = impl ToString>) -> String {
    let numbers: Vec<_> = numbers.map(|number| number.to_string()).collect();
    if numbers.is_empty() { "none".into() } else { numbers.join(", ") }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use b4ae_core::Instant;

    use super::super::record::Activity;
    use super::super::relay::{Direction, Sighting, Sightings};
    use super::*;

    const WINDOW: Window = Window { start: Instant::ORIGIN, length: Duration::from_secs(1) };
    const GOOD: Totals = Totals { sent: 1, confirmed: 1, delivered: 1, files: 1, slots_sent: 1000, slots_skipped: 0 };

    fn at(micros: u64) -> Instant {
        Instant::ORIGIN + Duration::from_micros(micros)
    }

    /// A link with a datagram each way every five milliseconds, and a message half a second long.
    fn link() -> Link {
        let link = Link { name: "", does: "", activity: Activity::default(), sightings: Sightings::default() };
        for slot in 0..200 {
            for direction in [Direction::Up, Direction::Down] {
                link.sightings.push(Sighting { at: at(slot * 5000), direction, len: 1200 });
            }
        }
        let trip = link.activity.begin(at(200_000), 1);
        link.activity.end(trip, at(700_000));
        link
    }

    fn add(link: &Link, from: u64, count: u64, len: u16) {
        for n in 0..count {
            link.sightings.push(Sighting { at: at(from + n), direction: Direction::Up, len });
        }
    }

    fn failed(links: &[Link], totals: &Totals) -> Vec<usize> {
        let checks = checks(links, &links[0], WINDOW, totals);
        checks.iter().enumerate().filter(|(_, check)| !check.holds).map(|(n, _)| n).collect()
    }

    #[test]
    fn links_that_look_the_same_pass() {
        assert!(failed(&[link(), link(), link()], &GOOD).is_empty());
    }

    #[test]
    fn one_datagram_of_another_length_fails() {
        let odd = link();
        add(&odd, 0, 1, 1199);
        assert_eq!(failed(&[link(), odd], &GOOD), [0]);
    }

    #[test]
    fn a_link_with_more_datagrams_fails_unless_slots_were_skipped() {
        let busy = link();
        add(&busy, 900_000, EDGES + 1, 1200);
        assert_eq!(failed(&[link(), busy.clone()], &GOOD), [2]);
        assert!(failed(&[link(), busy], &Totals { slots_skipped: 1, ..GOOD }).is_empty());
    }

    #[test]
    fn a_machine_that_keeps_too_few_slots_cannot_tell() {
        let links = [link(), link()];
        assert!(failed(&links, &Totals { slots_skipped: 50, ..GOOD }).is_empty());
        assert_eq!(failed(&links, &Totals { slots_skipped: 51, ..GOOD }), [1]);
    }

    #[test]
    fn a_burst_while_the_file_is_on_its_way_fails() {
        let busy = link();
        add(&busy, 300_000, EDGES + 1, 1200);
        assert_eq!(failed(&[busy, link()], &GOOD), [2, 3]);
    }

    #[test]
    fn a_dead_link_or_a_lost_message_fails() {
        let dead = Link { sightings: Sightings::default(), ..link() };
        assert!(failed(&[dead.clone(), dead], &GOOD).contains(&2));
        for totals in [Totals { confirmed: 0, ..GOOD }, Totals { delivered: 0, ..GOOD }, Totals { files: 0, ..GOOD }] {
            assert_eq!(failed(&[link(), link()], &totals), [4]);
        }
    }
}
