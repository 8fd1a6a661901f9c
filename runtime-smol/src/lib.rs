//! B4AE for smol, async-std and whatever else stands on `async-io`: an [`Endpoint`], its [`Peer`]s, messages.
//!
//! ```
//! use std::time::Duration;
//!
//! use b4ae_core::{Accept, Config, Identity, ModePolicy, SecretIdentity, Seed, Traffic};
//! use b4ae_smol::{Endpoint, EndpointConfig};
//!
//! # fn seed() -> Result<Seed, Box<dyn std::error::Error>> {
//! #     let mut bytes = [0; 32];
//! #     getrandom::fill(&mut bytes).map_err(|e| e.to_string())?;
//! #     Ok(Seed::new(bytes))
//! # }
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! smol::block_on(async {
//!     // One slot a millisecond, in which a cell leaves whether there is anything to say or not.
//!     let config = Config::builder(Traffic::constant(Duration::from_millis(1)));
//!     let listening = config.clone().accept(Accept::Anyone(ModePolicy::A)).build()?;
//!     let alice = Identity::from_secret(&SecretIdentity::generate(&seed()?));
//!     let bob = Identity::from_secret(&SecretIdentity::generate(&seed()?));
//!
//!     let bob = Endpoint::bind(EndpointConfig::new(bob, listening).listen("127.0.0.1:0".parse()?)).await?;
//!     let alice = Endpoint::bind(EndpointConfig::new(alice, config.build()?).listen("127.0.0.1:0".parse()?)).await?;
//!
//!     // Whoever has the address knows whom to reach: it ends in the peer's fingerprint.
//!     let to_bob = alice.connect_with(&bob.uri("127.0.0.1"), ModePolicy::A).await?;
//!     let to_alice = bob.accept().await?;
//!     assert_eq!(to_alice.peer_id(), alice.peer_id());
//!
//!     let id = to_bob.send("good morning").await?;
//!     assert_eq!(to_alice.recv().await?, b"good morning");
//!     to_bob.delivered(id).await?;
//!     Ok(())
//! })
//! # }
//! ```
//!
//! Nothing here asks for an executor, so any will do; `examples/async_std.rs` is the same on async-std.
//!
//! # Where the loop runs
//!
//! Cells leave on a grid, and whoever watches the link sees how well it is kept.
//!
//! - [`Endpoint::bind`]: a thread of its own waits in `ppoll(2)`, at real-time priority (`SCHED_FIFO`) where the system
//!   permits. What the application computes does not move a slot. [`EndpointStats::pacing`] tells whether the priority
//!   was granted, and if not, what to grant.
//! - [`Endpoint::bind_with_loop`]: a future, [`Loop`], for the caller to spawn, since smol and async-std have no
//!   executor in common. No thread is added for it, but a slot waits for whatever task has the executor's thread, so a
//!   busy application shows on the link.
//!
//! ```no_run
//! # use b4ae_smol::{BindError, Endpoint, EndpointConfig};
//! fn endpoint(config: EndpointConfig) -> Result<Endpoint, BindError> {
//!     let (endpoint, run) = Endpoint::bind_with_loop(config)?;
//!     smol::spawn(run).detach();
//!     Ok(endpoint)
//! }
//! ```
//!
//! Either way a cell that is too late (`Traffic::tolerance`) is dropped and counted ([`EndpointStats::slots_skipped`]),
//! never sent after the fact, and [`EndpointStats::lateness_p99`] says what an observer can measure.
//!
//! # Waiting and dropping
//!
//! Every `async` method is cancel-safe. But for low-overhead traffic [`Peer::send`] never wakes the loop: the message
//! waits for its session's next slot. Handles are counted: dropping the last [`Peer`] of a session closes it once what
//! is queued is confirmed, dropping the last [`Endpoint`] does so for all sessions and stops the loop after
//! [`EndpointConfig::flush_on_drop`] at the latest. A process that ends first takes its queue with it: await
//! [`Endpoint::close`].

mod endpoint;
mod run;

pub use b4ae_driver::{
    BindError, Closed, ConnectError, EndpointConfig, EndpointStats, LatenessHistogram, LaunchTimes, Pacing, Peer,
    Placement, SendError, Stopped,
};
pub use endpoint::Endpoint;
pub use run::Loop;
