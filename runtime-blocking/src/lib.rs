//! B4AE without an async runtime: an [`Endpoint`], its [`Peer`]s, messages, and calls that block.
//!
//! ```
//! use std::thread;
//! use std::time::Duration;
//!
//! use b4ae_blocking::{Endpoint, EndpointConfig};
//! use b4ae_core::{Accept, Config, Identity, ModePolicy, SecretIdentity, Seed, Traffic};
//!
//! # fn seed() -> Result<Seed, Box<dyn std::error::Error>> {
//! #     let mut bytes = [0; 32];
//! #     getrandom::fill(&mut bytes).map_err(|e| e.to_string())?;
//! #     Ok(Seed::new(bytes))
//! # }
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // One slot a millisecond, in which a cell leaves whether there is anything to say or not.
//! let config = Config::builder(Traffic::constant(Duration::from_millis(1)));
//! let listening = config.clone().accept(Accept::Anyone(ModePolicy::A)).build()?;
//! let alice = Identity::from_secret(&SecretIdentity::generate(&seed()?));
//! let bob = Identity::from_secret(&SecretIdentity::generate(&seed()?));
//!
//! let bob = Endpoint::bind(EndpointConfig::new(bob, listening).listen("127.0.0.1:0".parse()?))?;
//! let alice = Endpoint::bind(EndpointConfig::new(alice, config.build()?).listen("127.0.0.1:0".parse()?))?;
//!
//! // Whoever has the address knows whom to reach: it ends in the peer's fingerprint.
//! let uri = bob.uri("127.0.0.1");
//! let echo = thread::spawn(move || {
//!     for peer in bob.incoming().take(1) {
//!         for message in peer.messages() {
//!             peer.send(message).expect("the session is open");
//!         }
//!     }
//! });
//!
//! let to_bob = alice.connect_with(&uri, ModePolicy::A)?;
//! let id = to_bob.send("good morning")?;
//! assert_eq!(to_bob.recv_timeout(Duration::from_secs(30))?, b"good morning");
//! to_bob.delivered(id)?;
//! to_bob.close();
//! echo.join().expect("no panic");
//! # Ok(())
//! # }
//! ```
//!
//! # Threads and waiting
//!
//! The loop has a thread of its own, at real-time priority (`SCHED_FIFO`) where the system permits:
//! [`EndpointStats::pacing`] tells whether it does, and if not, what to grant. Handles can be cloned and used from any
//! thread, several at a time.
//!
//! A call waits as long as it takes. Each has a sibling that does not: `try_send`, `try_recv` and `try_accept` return
//! at once, and those in `_timeout` give up after a while. Giving up loses nothing: a message that found no room comes
//! back in the error, and what arrives later is there for the next call. As with [`std::sync::mpsc`], the wait is a
//! parked thread, whose [`unpark`](std::thread::Thread::unpark) token is used.
//!
//! But for low-overhead traffic [`Peer::send`] never wakes the loop: the message waits for its session's next slot.
//! Handles are counted: dropping the last [`Peer`] of a session closes it once what is queued is confirmed, dropping
//! the last [`Endpoint`] does so for all sessions and stops the loop after [`EndpointConfig::flush_on_drop`] at the
//! latest. A process that ends first takes its queue with it: call [`Endpoint::close`].

mod endpoint;
mod error;
mod peer;

pub use b4ae_driver::{
    BindError, Closed, ConnectError, EndpointConfig, EndpointStats, LatenessHistogram, LaunchTimes, Pacing, Placement,
    SendError, Stopped,
};
pub use endpoint::Endpoint;
pub use error::{RecvTimeoutError, SendTimeoutError, TimeoutError, TryRecvError, TrySendError};
pub use peer::Peer;
