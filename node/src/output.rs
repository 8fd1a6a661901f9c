//! What goes to standard output: messages made safe for terminals, and events as JSON lines.

use std::fmt::{Display, Write as _};
use std::io::{self, Write as _};
use std::str;

use b4ae_core::{Clock, CloseReason, Mode, PeerId, SessionId, UnixTime};
use b4ae_tokio::EndpointStats;
use data_encoding::{BASE64, HEXLOWER};
use serde::Serialize;

use crate::error::Error;

/// Bytes of a binary message that are shown.
const BINARY_SHOWN: usize = 32;

/// Tells the user something on standard error. Where that cannot be written nobody is there to be told.
pub(crate) fn note(text: impl Display) {
    let _ = writeln!(io::stderr().lock(), "b4ae: {text}");
}

/// Prints one line.
pub(crate) fn line(text: &str) -> Result<(), Error> {
    write_line(text).map_err(Error::io("writing to standard output"))
}

/// Writes one line to standard output, at once.
pub(crate) fn write_line(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

/// One thing a listening node has to tell.
#[derive(Debug)]
pub(crate) enum Notice {
    /// The node answers at these addresses.
    Listening { address: String, uris: Vec<String>, fingerprint: PeerId },
    /// A peer has opened a session.
    Opened { session: SessionId, peer: PeerId, mode: Mode },
    /// A message from a peer.
    Message { session: SessionId, peer: PeerId, bytes: Vec<u8> },
    /// A session has ended.
    Closed { session: SessionId, peer: PeerId, reason: CloseReason },
    /// The token that signs is lost, and why, or it is back.
    Token { trouble: Option<String> },
    /// The node has stopped, having done this much.
    Stopped(Box<EndpointStats>),
}

/// A notice as one JSON object on a line.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Json<'a> {
    Listening {
        time: u64,
        address: &'a str,
        uris: &'a [String],
        fingerprint: String,
    },
    SessionOpened {
        time: u64,
        session: String,
        peer: String,
        mode: String,
    },
    Message {
        time: u64,
        session: String,
        peer: String,
        length: usize,
        #[serde(flatten)]
        content: Content<'a>,
    },
    SessionClosed {
        time: u64,
        session: String,
        peer: String,
        reason: &'static str,
    },
    TokenLost {
        time: u64,
        reason: &'a str,
    },
    TokenBack {
        time: u64,
    },
    Stopped {
        time: u64,
        slots_sent: u64,
        slots_skipped: u64,
        handshakes_completed: u64,
        handshakes_failed: u64,
    },
}

/// A message's bytes: as text where they are text.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Content<'a> {
    Text(&'a str),
    Base64(String),
}

impl Notice {
    /// The notice as text or as a JSON line.
    pub(crate) fn render(&self, json: bool) -> String {
        if json { self.json() } else { self.text() }
    }

    fn json(&self) -> String {
        let UnixTime(time) = Clock::wall();
        let json = match self {
            Self::Listening { address, uris, fingerprint } => {
                Json::Listening { time, address, uris, fingerprint: fingerprint.to_string() }
            }
            Self::Opened { session, peer, mode } => Json::SessionOpened {
                time,
                session: session.to_string(),
                peer: peer.to_string(),
                mode: mode.to_string().to_lowercase(),
            },
            Self::Message { session, peer, bytes } => Json::Message {
                time,
                session: session.to_string(),
                peer: peer.to_string(),
                length: bytes.len(),
                content: match str::from_utf8(bytes) {
                    Ok(text) => Content::Text(text),
                    Err(_) => Content::Base64(BASE64.encode(bytes)),
                },
            },
            Self::Closed { session, peer, reason } => Json::SessionClosed {
                time,
                session: session.to_string(),
                peer: peer.to_string(),
                reason: keyword(*reason),
            },
            Self::Token { trouble: Some(reason) } => Json::TokenLost { time, reason },
            Self::Token { trouble: None } => Json::TokenBack { time },
            Self::Stopped(stats) => Json::Stopped {
                time,
                slots_sent: stats.slots_sent,
                slots_skipped: stats.slots_skipped,
                handshakes_completed: stats.metrics.handshakes_completed,
                handshakes_failed: stats.metrics.handshakes_failed,
            },
        };
        serde_json::to_string(&json).expect("strings and numbers have a form in JSON")
    }

    fn text(&self) -> String {
        match self {
            Self::Listening { address, uris, .. } => {
                let mut text = format!("listening on {address}");
                for uri in uris {
                    let _ = write!(text, "\n{uri}");
                }
                text
            }
            Self::Opened { session, peer, mode } => format!("[{session}] opened by {peer}, mode {mode}"),
            Self::Message { session, bytes, .. } => format!("[{session}] {}", printable(bytes)),
            Self::Closed { session, reason, .. } => format!("[{session}] ended: {reason}"),
            Self::Token { trouble: Some(reason) } => format!("token lost: {reason}"),
            Self::Token { trouble: None } => "token back".into(),
            Self::Stopped(stats) => format!(
                "stopped after {} handshakes, {} cells sent and {} slots skipped",
                stats.metrics.handshakes_completed, stats.slots_sent, stats.slots_skipped
            ),
        }
    }
}

/// For programs: a word that stays the same when the sentence for people changes.
fn keyword(reason: CloseReason) -> &'static str {
    match reason {
        CloseReason::Local => "local",
        CloseReason::Peer => "peer",
        CloseReason::Idle => "idle",
        CloseReason::Unreachable => "unreachable",
        CloseReason::NoCommonMode => "no_common_mode",
        CloseReason::HandshakeFailed => "handshake_failed",
        CloseReason::SignerFailed => "signer_failed",
        _ => "other",
    }
}

/// A message as one line that does nothing to a terminal: text with controls and the escapes' own sign escaped,
/// anything else as its length and first bytes.
pub(crate) fn printable(bytes: &[u8]) -> String {
    let Ok(text) = str::from_utf8(bytes) else {
        let shown = &bytes[..bytes.len().min(BINARY_SHOWN)];
        let more = if shown.len() < bytes.len() { "…" } else { "" };
        return format!("<{} bytes: {}{more}>", bytes.len(), HEXLOWER.encode(shown));
    };
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c == '\t' || !(c == '\\' || c.is_control() || is_invisible(c)) {
            out.push(c);
        } else {
            out.extend(c.escape_default());
        }
    }
    out
}

/// Characters that reorder or hide text, or break the line, without being control characters: the bidirectional
/// controls, the zero-width characters, the line and paragraph separators, the byte order mark, and tags.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{061c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_passes_and_controls_are_spelled_out() {
        assert_eq!(printable("grüß\tdich 👋".as_bytes()), "grüß\tdich 👋");
        assert_eq!(printable(b"\x1b[2Jgone\r\nnext\x07"), "\\u{1b}[2Jgone\\r\\nnext\\u{7}");
        assert_eq!(printable(br"\u{1b} C:\new"), r"\\u{1b} C:\\new");
        assert_eq!(printable("\u{9b}31m".as_bytes()), "\\u{9b}31m");
        assert_eq!(printable("a\u{202e}b\u{2028}c".as_bytes()), "a\\u{202e}b\\u{2028}c");
    }

    #[test]
    fn binary_is_shown_as_length_and_first_bytes() {
        assert_eq!(printable(&[0xff, 0x00]), "<2 bytes: ff00>");
        assert!(printable(&[0xff; 100]).starts_with("<100 bytes: ffff"));
        assert!(printable(&[0xff; 100]).ends_with("…>"));
    }
}
