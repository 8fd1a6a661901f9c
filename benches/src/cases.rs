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

/// The names of those that take little memory, in the order in which they are run.
pub(crate) const FEW_SESSIONS: [&str; 18] = [
    "handshake A",
    "handshake A bare",
    "handshake B",
    "handshake B bare",
    "junk",
    "hello",
    "crowded",
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
];

/// Of those that fill it with 10,000 sessions, which takes some seconds: they are only timed, and set up when all others
/// have been. A heap that they left full of holes would make others slower.
pub(crate) const MANY_SESSIONS: [&str; 3] = ["handshake A 10000", "finish 10000", "slot 10000"];

/// The case of that name.
pub(crate) fn case(name: &str, size: Size) -> Option<Case> {
    // ML-DSA signs in a random number of attempts: a mean needs many.
    let handshakes = 16;
    let (datagrams, cells) = if size == Size::Timed { (64, 256) } else { (8, 16) };
    Some(match name {
        "handshake A" => Case::new(name, Whole::new(Mode::A, handshakes, 0)),
        "handshake A bare" => Case::new(name, primitives::Handshake { mode: Mode::A, batch: handshakes }),
        "handshake A 10000" => Case::new(name, Whole::new(Mode::A, handshakes, 10_000)),
        "handshake B" => Case::new(name, Whole::new(Mode::B, handshakes, 0)),
        "handshake B bare" => Case::new(name, primitives::Handshake { mode: Mode::B, batch: handshakes }),
        "junk" => Case::new(name, Strangers::new(Knock::Junk, datagrams)),
        "hello" => Case::new(name, Strangers::new(Knock::Hello, datagrams)),
        "crowded" => Case::new(name, Strangers::new(Knock::Crowded, datagrams)),
        "forged" => Case::new(name, Strangers::new(Knock::Forged, datagrams)),
        "init A" => Case::new(name, Served::new(Mode::A, Flight::Init, handshakes, 0)),
        "finish A" => Case::new(name, Served::new(Mode::A, Flight::Finish, handshakes, 0)),
        "init B" => Case::new(name, Served::new(Mode::B, Flight::Init, handshakes, 0)),
        "finish B" => Case::new(name, Served::new(Mode::B, Flight::Finish, handshakes, 0)),
        "seal bare" => Case::new(name, primitives::SealCell(cells)),
        "open bare" => Case::new(name, primitives::OpenCell::new(cells)),
        "open" => Case::new(name, Opened::new(cells)),
        "message" => Case::new(name, Messages::new(cells)),
        "slot 1" => Case::new(name, Slots::new(1, cells)),
        "slot 100" => Case::new(name, Slots::new(100, cells)),
        "finish 10000" => Case::new(name, Served::new(Mode::A, Flight::Finish, 4, 10_000)),
        // More than a round: what a round's beginning costs is shared out among its slots.
        "slot 10000" => Case::new(name, Slots::new(10_000, 20_000)),
        _ => return None,
    })
}
