//! The B4AE protocol as a pure state machine: bytes, time and entropy in; datagrams, events and jobs out.
//!
//! The engine opens no socket, reads no clock, starts no thread and draws no randomness of its own. A driver owns
//! those and repeats one turn:
//!
//! 1. **Feed** what there is: [`Engine::handle_datagram`], [`Engine::handle_completion`], and the commands
//!    [`Engine::connect`], [`Session::send`], [`Session::close`].
//! 2. **Let time pass** when [`Engine::poll_timeout`] is due: [`Engine::handle_timeout`].
//! 3. **Drain** what has become of it: [`Engine::poll_transmit`] until `None`, each datagram to be sent at its
//!    [`due`](Transmit::due) time; [`Engine::poll_job`], slow work to be run anywhere, what signs apart from the rest;
//!    [`Engine::poll_event`], news for the application.
//! 4. **Sleep** until the next deadline or input.
//!
//! Cells appear in step 3 only because of step 2, in slots that were given out before any queue was looked at.
//! But for low-overhead traffic, whatever the application does in step 1 changes what is sealed inside them and nothing
//! else: neither when a datagram leaves, nor where to, nor how long it is. That is the property the protocol is for,
//! and the reason for the shape of this API.
//!
//! # A whole loop
//!
//! Two engines and a wire between them, in virtual time. A real driver does the same with a socket, a clock and a
//! poller (that of `b4ae-tokio`, `b4ae-smol` and `b4ae-blocking` is one).
//!
//! ```
//! use std::time::Duration;
//! use b4ae_core::{
//!     Accept, Config, DATAGRAM_LEN, Engine, Event, Identity, Instant, ModePolicy, Path, SecretIdentity, Seed, Traffic,
//!     TxBuf, UnixTime,
//! };
//!
//! // In earnest the 32 bytes come from the operating system.
//! let identity = |n| Identity::from_secret(&SecretIdentity::generate(&Seed::new([n; 32])));
//! let config = |accept| Config::builder(Traffic::balanced()).accept(accept).build();
//! let (start, wall) = (Instant::ORIGIN, UnixTime(1_800_000_000));
//!
//! let server = config(Accept::Anyone(ModePolicy::A_THEN_B))?;
//! let client = config(Accept::Nobody)?;
//! let mut engines = [
//!     Engine::new(&client, identity(1), &Seed::new([3; 32]), start, wall)?,
//!     Engine::new(&server, identity(2), &Seed::new([4; 32]), start, wall)?,
//! ];
//! let addresses = ["192.0.2.1:7000".parse()?, "192.0.2.2:7000".parse()?];
//!
//! let peer = engines[1].peer_id();
//! let session = engines[0].connect(start, Path::new(addresses[1], None), &peer, ModePolicy::A)?;
//! engines[0].session(session)?.send(b"nobody on the path saw this")?;
//!
//! let mut received = None;
//! let mut wire: Vec<(Instant, usize, [u8; DATAGRAM_LEN])> = Vec::new();
//! let mut now = start;
//! while received.is_none() {
//!     // Inputs: what the wire brings, and time.
//!     let (arrived, still) = wire.into_iter().partition(|(at, ..)| *at <= now);
//!     wire = still;
//!     for (_, to, mut datagram) in arrived {
//!         engines[to].handle_datagram(now, Path::new(addresses[1 - to], None), &mut datagram);
//!     }
//!     for (me, engine) in engines.iter_mut().enumerate() {
//!         if engine.poll_timeout().is_some_and(|at| at <= now) {
//!             engine.handle_timeout(now);
//!         }
//!         // Outputs: jobs, datagrams, events.
//!         engine.run_inline(now);
//!         let mut buffer = [0; DATAGRAM_LEN];
//!         while let Some(transmit) = engine.poll_transmit(TxBuf::new(&mut buffer)?) {
//!             wire.push((transmit.due + Duration::from_millis(20), 1 - me, buffer));
//!         }
//!         while let Some(event) = engine.poll_event() {
//!             if let Event::Readable(id) = event {
//!                 let mut message = vec![0; engine.session(id)?.next_len().unwrap_or(0)];
//!                 engine.session(id)?.recv(&mut message)?;
//!                 received = Some(message);
//!             }
//!         }
//!     }
//!     // Sleep, here by decree.
//!     now = now + Duration::from_millis(1);
//! }
//! assert_eq!(received.as_deref(), Some(&b"nobody on the path saw this"[..]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is bounded
//!
//! Every input does bounded work and every queue has a limit in [`Limits`]; [`Config::memory_bound`] adds up what they
//! allow. A datagram that is not what it should be
//! is counted in [`Drops`] and forgotten; it is never an error, since strangers send what they like. State moves only
//! after authentication. Once a session is open, no datagram allocates memory but the first of a message longer than
//! those before it.
//!
//! # Slow work
//!
//! Key exchange, signatures and puzzles leave as a [`Job`], with all the randomness they need, and come back as a
//! [`Completion`]: no handshake delays a slot, and a [`Signer`] may be a hardware token on a network. A job that calls it
//! says so before it is run ([`Job::signs`]) and counts in a budget of its own ([`Limits::pending_signatures`]): run
//! where no other job waits behind it, a token that is slow, or never answers, harms handshakes that need its signature
//! and no others.
//!
//! # Features
//!
//! - `std` (default): [`Clock`], which maps the system's clocks to [`Instant`] and [`UnixTime`], and a Bloom filter in
//!   place of an exact set for used cookies. Without it the crate is `no_std` with `alloc`.
//! - `aws-lc`: X25519, ML-KEM-1024, ML-DSA-87 and ChaCha20-Poly1305 are AWS-LC's, in C and assembly, in place of crates
//!   in Rust. Needs a C compiler, and implies `std`. On the wire nothing differs, and either talks with the other. What
//!   does: [`SoftwareSigner`] hedges with AWS-LC's random numbers and ignores those it is given, so that of a replayed
//!   run the signatures of mode B, and what follows from them, are others.
//! - `aws-lc-fips`: the same with the AWS-LC of its FIPS module, which needs `CMake`, Go and Perl to build. **This
//!   makes no session an approved one**: X25519, ChaCha20-Poly1305 and BLAKE2b are not algorithms that FIPS 140
//!   approves.
//!
//! [`PROVIDER`] says which it is.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(any(feature = "std", test, b4ae_constant_time))]
extern crate std;

mod config;
#[cfg(b4ae_constant_time)]
pub mod constant_time;
mod crypto;
mod engine;
mod error;
#[cfg(fuzzing)]
pub mod fuzzing;
mod handshake;
mod identity;
mod job;
mod memory;
mod metrics;
mod mode;
#[cfg(b4ae_mutants)]
mod mutant;
mod padding;
mod random;
#[cfg(all(test, feature = "std", target_os = "linux"))]
mod residue;
mod rotation;
mod scheduler;
mod secret;
mod session;
mod time;
mod transmit;
mod uri;
#[cfg(all(test, feature = "std"))]
mod vectors;
mod wire;

pub use config::{Accept, Config, ConfigBuilder, Limits, Padding, Traffic};
pub use crypto::PROVIDER;
pub use engine::{Engine, Event, Shutdown};
pub use error::{
    BufferTooSmall, CloseReason, ConfigError, ConnectError, ParseError, RecvError, SendError, UnknownSession,
};
pub use identity::{Identity, PeerId, SecretIdentity};
pub use job::{
    Completion, Job, ML_DSA_PUBLIC_KEY_LEN, ML_DSA_SIGNATURE_LEN, SignError, Signer, SoftwareSigner, verify_signature,
};
pub use memory::MemoryBound;
pub use metrics::{Drops, Metrics, SessionStats};
pub use mode::{Mode, ModePolicy};
#[cfg(b4ae_mutants)]
pub use mutant::Mutant;
pub use random::Seed;
pub use rotation::{Rotation, RotationError};
pub use secret::Secret;
pub use session::{MessageId, Session, SessionId, SessionState};
#[cfg(feature = "std")]
pub use time::Clock;
pub use time::{Instant, UnixTime};
pub use transmit::{DATAGRAM_LEN, Path, Transmit, TransmitKind, TxBuf};
pub use uri::PeerUri;
