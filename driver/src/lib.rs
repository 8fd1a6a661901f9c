//! What every B4AE runtime adapter shares: one turn of the loop, the socket, the mailbox, pacing and the job pool.
//!
//! A runtime calls the driver; the driver calls nothing. A turn never blocks, is generic over nothing, and knows of a
//! runtime what [`std::task::Waker`] says. A runtime owns three things, the waiting, the thread or task, and the
//! spelling of the handles, and is one loop:
//!
//! ```no_run
//! use std::task::Waker;
//! use std::time::Duration;
//!
//! use b4ae_driver::{BindError, Driver, EndpointConfig, Handle, Turn};
//!
//! # fn wait_until_readable_or_woken(_: &std::net::UdpSocket, _: Option<Duration>) {}
//! /// `wake` ends the wait below.
//! fn endpoint(config: EndpointConfig, wake: Waker) -> Result<Handle, BindError> {
//!     let (mut driver, handle) = Driver::bind(config)?;
//!     std::thread::spawn(move || {
//!         loop {
//!             let until = match driver.turn(&wake) {
//!                 Turn::Sleep(at) => Some(driver.remaining(at)),
//!                 Turn::Idle => None,
//!                 Turn::Stop => return,
//!             };
//!             wait_until_readable_or_woken(driver.socket(), until);
//!             // Counted, and survived.
//!             let _ = driver.receive();
//!         }
//!     });
//!     Ok(handle)
//! }
//! ```
//!
//! [`thread::spawn`] is that loop with everything a real one needs. The application's end is a [`Handle`] for the
//! endpoint and a [`PeerHandle`] for each session, whose `poll_*` functions need a waker and nothing else of a runtime.
//! [`Peer`] is their async spelling, for every runtime; [`wait`] has what makes a call that blocks of it.
//!
//! # What goes before what
//!
//! 1. A cell that is due. It was sealed some time before its slot, and sending it is a system call. One that is too
//!    late (`Traffic::tolerance`, or a tick) is dropped: two in one slot would be a burst that tells how long the loop
//!    was away.
//! 2. The engine: time, finished jobs, sealing the next cells.
//! 3. The application, unless a cell is about to be due. The loop never waits for an application's thread: it does not
//!    block on a lock, and a `send` does not wake it where traffic is protected.
//! 4. What arrives. A due cell goes between any two datagrams of a flood.
//!
//! # What is bounded
//!
//! Datagrams waiting for their slot, messages between a handle and the engine (64 and 256 KiB each way and session),
//! sessions nobody accepted, jobs handed out. A handle that finds no room waits; a receiver that does not take its
//! messages holds the sender back by the protocol's flow control.

pub mod address;
mod async_peer;
mod config;
mod counters;
mod error;
mod handle;
mod jobs;
mod lateness;
mod launch;
mod link;
mod links;
mod mailbox;
mod outbox;
mod pacing;
mod peer;
mod peer_handle;
mod socket;
mod stats;
mod sync;
pub mod thread;
mod tick;
mod turn;
pub mod wait;

pub use async_peer::Peer;
pub use config::{EndpointConfig, Placement};
pub use error::{BindError, Closed, ConnectError, SendError, Stopped};
pub use handle::Handle;
pub use lateness::LatenessHistogram;
pub use peer_handle::PeerHandle;
pub use stats::{EndpointStats, LaunchTimes, Pacing};
pub use turn::{Driver, Turn};
