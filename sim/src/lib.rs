//! Deterministic simulation of B4AE networks: hosts, links, faults, an attacker, an observer.
//!
//! A [`World`] has a clock of its own and one 32-byte seed. Nothing in it is real time, a thread or a socket: the next
//! thing that is due happens, then the next, and the same seed gives the same run to the last datagram. After every
//! turn of every host the engine's contract is checked, and a breach ends the run as a [`Violation`].
//!
//! ```
//! use std::time::Duration;
//!
//! use b4ae_core::{Accept, Config, ModePolicy, Traffic};
//! use b4ae_sim::{Action, HostSpec, Network, World};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let config = |accept| {
//!         let traffic = Traffic::constant(Duration::from_millis(5));
//!         Config::builder(traffic).accept(accept).build()
//!     };
//!     let mut world = World::new([1; 32]);
//!     let server = world.add(HostSpec::new(config(Accept::Anyone(ModePolicy::A))?).keep_messages())?;
//!     let client = world.add(HostSpec::new(config(Accept::Nobody)?))?;
//!     world.act(Action::Network(Network::Wan.config()))?;
//!
//!     let session = world.connect(client, server, ModePolicy::A)??;
//!     world.send(client, session, b"hello")??;
//!     let arrived = world.run_while_not(Duration::from_secs(10), World::all_arrived)?;
//!
//!     assert!(arrived);
//!     assert_eq!(world.messages(server)[0].1, b"hello");
//!     Ok(())
//! }
//! ```
//!
//! # What is in a world
//!
//! - **Hosts** ([`HostSpec`]): an engine, a scripted application ([`Behaviour`], [`Reading`]), slow jobs and late
//!   timers ([`Latency`]), an address that an address translator may change.
//! - **Links** ([`LinkConfig`], or a [`Network`] by name): delay, jitter, loss in bursts or evenly, duplicates,
//!   reordering, a rate; one state per direction. [`Faults`] on top: corruption, truncation, replay, one-way blocks.
//! - **An [`Attacker`]** who meets every datagram, and an [`Observer`] who only sees when, between whom and how long.
//! - **A reference model** of delivery, compared with what every application takes: [`Delivery`].
//! - **A [`Trace`]**, one line an event, whose hash says whether two runs were the same.
//!
//! A [`Scenario`] is all of that as one value made of enums, to generate, shrink, run twice, and paste into a test.

mod action;
mod app;
mod attacker;
mod draws;
mod fault;
mod host;
mod job;
mod link;
mod model;
mod observer;
pub mod scenario;
mod spec;
#[cfg(feature = "proptest")]
pub mod strategy;
mod trace;
mod violation;
mod world;

pub use action::Action;
pub use app::{Behaviour, Reading};
pub use attacker::{Attacker, Encounter, Forged};
pub use fault::Faults;
pub use host::Departure;
pub use job::Latency;
pub use link::{LinkConfig, Loss, Network};
pub use model::Delivery;
pub use observer::{Difference, Exchange, Observer, Sighting};
pub use scenario::Scenario;
pub use spec::HostSpec;
pub use trace::Trace;
pub use violation::Violation;
pub use world::{HostId, World};
