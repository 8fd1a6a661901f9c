//! Every case, by the name the table asks for.

use b4ae_core::Mode;

use crate::cell::{Messages, Opened, Slots};
use crate::handshake::{Flight, Knock, Served, Strangers, Whole};
use crate::measure::Case;
use crate::primitives;

/// What the cases are for.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) enum Size {
    /// To be timed.
    Timed,
    /// To be counted by a simulator that is some fifty times slower: less of each.
    Counted,
}

/// The names, in the order in which the cases are run.
pub(crate) const NAMES: [&str; 18] = [
    "handshake A",
    "handshake A bare",
    "handshake B",
    "handshake B bare",
    "junk",
    "hello",
    "forged",
    "init A",
    "finish A",
    "init B",
    "finish B",
    "seal bare",
    "open bare",
    "open",
    "message",
    "slot 1",
    "slot 100",
    LONGEST,
];

/// Too long to set up to be counted.
pub(crate) const LONGEST: &str = "slot 10000";

/// The case of that name.
pub(crate) fn case(name: &str, size: Size) -> Option<Case> {
    // ML-DSA signs in a random number of attempts: a mean needs many.
    let handshakes = 16;
    let (datagrams, cells) = if size == Size::Timed { (64, 256) } else { (8, 16) };
    Some(match name {
        "handshake A" => Case::new(name, Whole::new(Mode::A, handshakes)),
        "handshake A bare" => Case::new(name, primitives::Handshake { mode: Mode::A, batch: handshakes }),
        "handshake B" => Case::new(name, Whole::new(Mode::B, handshakes)),
        "handshake B bare" => Case::new(name, primitives::Handshake { mode: Mode::B, batch: handshakes }),
        "junk" => Case::new(name, Strangers::new(Knock::Junk, datagrams)),
        "hello" => Case::new(name, Strangers::new(Knock::Hello, datagrams)),
        "forged" => Case::new(name, Strangers::new(Knock::Forged, datagrams)),
        "init A" => Case::new(name, Served::new(Mode::A, Flight::Init, handshakes)),
        "finish A" => Case::new(name, Served::new(Mode::A, Flight::Finish, handshakes)),
        "init B" => Case::new(name, Served::new(Mode::B, Flight::Init, handshakes)),
        "finish B" => Case::new(name, Served::new(Mode::B, Flight::Finish, handshakes)),
        "seal bare" => Case::new(name, primitives::SealCell(cells)),
        "open bare" => Case::new(name, primitives::OpenCell::new(cells)),
        "open" => Case::new(name, Opened::new(cells)),
        "message" => Case::new(name, Messages::new(cells)),
        "slot 1" => Case::new(name, Slots::new(1, cells)),
        "slot 100" => Case::new(name, Slots::new(100, cells)),
        // More than a round: what a round's beginning costs is shared out among its slots.
        LONGEST => Case::new(name, Slots::new(10_000, 20_000)),
        _ => return None,
    })
}
