//! What the two sides say to each other: an offer, an answer, the file's bytes from there on, and a verdict.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use blake2::digest::consts::U32;
use blake2::{Blake2b, Digest as _};
use serde::{Deserialize, Serialize};
use tokio::fs::File;
use tokio::io::AsyncReadExt as _;

/// Bytes of the file in a message. Confirmation comes a message at a time, so this is how fine progress is.
pub(crate) const CHUNK: usize = 32 * 1024;

/// Without a cell for so long, the other side is gone.
pub(crate) const IDLE: Duration = Duration::from_secs(10);

/// From the sender, first.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Offer {
    pub(crate) name: String,
    pub(crate) len: u64,
    /// What tells this file from another of the same name, and whether it arrived whole.
    pub(crate) hash: [u8; 32],
}

/// From the receiver: to the offer, and once it has everything.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) enum Answer {
    /// Send from this byte on.
    From(u64),
    /// All there, and the hash is right.
    Complete,
    /// All there, and the hash is wrong: what there was has been thrown away.
    Damaged,
    /// This file is not taken.
    Refused(String),
}

/// BLAKE2b-256 of a file.
pub(crate) async fn hash(path: &Path) -> Result<[u8; 32]> {
    let mut file = File::open(path).await.with_context(|| format!("opening {}", path.display()))?;
    let (mut hash, mut chunk) = (Blake2b::<U32>::new(), vec![0; CHUNK]);
    loop {
        match file.read(&mut chunk).await.with_context(|| format!("reading {}", path.display()))? {
            0 => return Ok(hash.finalize().into()),
            len => hash.update(&chunk[..len]),
        }
    }
}
