//! Impairs UDP on real sockets, the same way every time for the same seed.
//!
//! A [`Proxy`] stands between clients and one server, in place of a kernel's network emulation:
//!
//! ```text
//! client A ─┐                ┌─ a socket of its own ─┐
//!           ├─ listen socket ┤                       ├─ server
//! client B ─┘                └─ a socket of its own ─┘
//! ```
//!
//! Every client gets a socket of its own towards the server, so the server sees distinct ports, as behind a NAT.
//! Each datagram's fate depends on the seed, the client's number (in order of first arrival), the direction and the
//! datagram's number alone: see [`Dice`]. When it is released depends on the clock as well; the clock is Tokio's, so a
//! datagram leaves up to a few milliseconds later than asked, never earlier.
//!
//! Clients, queues and recordings are bounded.

mod client;
mod dice;
mod impairment;
mod lane;
mod proxy;
mod record;

pub use dice::{Dice, Direction, Fate};
pub use impairment::{Impairment, Invalid};
pub use proxy::{Options, Proxy, StartError};
pub use record::{Counters, Seen, Totals};
