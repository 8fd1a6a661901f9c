//! What the applications of the demonstration do.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use b4ae_core::Clock;
use b4ae_tokio::{Closed, Peer, SendError};
use tokio::time::sleep;

use super::record::{Activity, Window};
use crate::error::Error;

/// The file's length in bytes.
pub(crate) const FILE_LEN: u32 = 200 * 1024;
/// Bursts of talk, spread over the time of watching.
const BURSTS: u32 = 4;
/// Messages in a burst.
const BURST: u32 = 5;
/// Between two messages of a burst.
const TYPING: Duration = Duration::from_millis(120);

/// What has arrived at the applications.
#[derive(Debug, Default)]
pub(crate) struct Arrived {
    messages: AtomicU64,
    bytes: AtomicU64,
    files: AtomicU64,
}

impl Arrived {
    fn note(&self, message: &[u8]) {
        self.messages.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(message.len() as u64, Ordering::Relaxed);
        self.files.fetch_add(u64::from(message == file()), Ordering::Relaxed);
    }

    /// Messages.
    pub(crate) fn messages(&self) -> u64 {
        self.messages.load(Ordering::Relaxed)
    }

    /// Their bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// How many of them were the file, byte for byte.
    pub(crate) fn files(&self) -> u64 {
        self.files.load(Ordering::Relaxed)
    }
}

/// One end of a link: sends on `peer`, and keeps the link's record.
#[derive(Clone, Debug)]
pub(crate) struct End {
    /// The session.
    pub(crate) peer: Peer,
    /// The link's record.
    pub(crate) activity: Activity,
    /// The time.
    pub(crate) clock: Clock,
}

impl End {
    /// Sends `message` and waits until it is confirmed.
    async fn send(&self, message: Vec<u8>) -> Result<(), Error> {
        let trip = self.activity.begin(self.clock.now(), message.len());
        let id = self.peer.send(message).await.map_err(|error| match error {
            SendError::Closed(closed) => ended(closed),
            error => Error::Verdict(format!("a message of the demo was not taken: {error}")),
        })?;
        self.peer.delivered(id).await.map_err(ended)?;
        self.activity.end(trip, self.clock.now());
        Ok(())
    }

    async fn sleep_until(&self, window: Window, part: u32, of: u32) {
        sleep(window.part(part, of).start.saturating_since(self.clock.now())).await;
    }
}

fn ended(closed: Closed) -> Error {
    Error::Verdict(format!("a session of the demo ended early: {closed}"))
}

/// The file: bytes that do not repeat soon.
fn file() -> Vec<u8> {
    (0..FILE_LEN / 4).flat_map(|n| n.wrapping_mul(0x9e37_79b9).to_le_bytes()).collect()
}

/// Chats: bursts of short messages, silence in between.
pub(crate) async fn chat(end: &End, window: Window) -> Result<(), Error> {
    for burst in 0..BURSTS {
        end.sleep_until(window, 2 + 5 * burst, 24).await;
        for message in 0..BURST {
            let text = format!("message {message} of burst {burst}: {}", "so to speak ".repeat(message as usize));
            end.send(text.into_bytes()).await?;
            sleep(TYPING).await;
        }
    }
    Ok(())
}

/// Sends one file, a quarter into the time of watching.
pub(crate) async fn send_file(end: &End, window: Window) -> Result<(), Error> {
    end.sleep_until(window, 1, 4).await;
    end.send(file()).await
}

/// Takes what comes, until the session ends.
pub(crate) async fn take(peer: &Peer, arrived: &Arrived) {
    while let Ok(message) = peer.recv().await {
        arrived.note(&message);
    }
}

/// The server's side of a link: takes what comes, and answers what is short enough to be talk.
pub(crate) async fn serve(end: &End, arrived: &Arrived) {
    while let Ok(message) = end.peer.recv().await {
        arrived.note(&message);
        if message.len() < 1024 && end.send(b"I see; go on".to_vec()).await.is_err() {
            return;
        }
    }
}
