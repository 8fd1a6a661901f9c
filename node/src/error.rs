//! What can go wrong, said so that the reader knows what happened, to what, and what to do; and the exit codes.

use std::fmt;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use b4ae_core::{ConfigError, ParseError, RotationError};
use b4ae_hsm::HsmError;
use b4ae_tokio::BindError;

use crate::credential::Kind;
use crate::private::Refusal;

/// The exit codes, for `--help`. They are part of the interface: a number never changes its meaning.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
   0  done
   1  the system failed a call (reading, writing, sockets)
   2  the command line is wrong
   3  an address is not well-formed
   4  the key file cannot be used
   5  the passphrase or PIN is wrong or missing
   6  the peer did not answer, or its host was not found
   7  the peer accepts none of the modes offered
   8  what answered could not prove to be the peer
   9  the listening address cannot be used
  10  not everything was delivered, or not all that came was written out
  11  a message is too long
  12  the demo's check failed
  13  the demo was interrupted
  14  the token, or the key in it, cannot be used
  15  a rotation statement is not what it should be, or cannot be made";

/// A failure of a command.
#[derive(Debug)]
pub(crate) enum Error {
    /// A system call failed while doing `doing`.
    Io { doing: String, source: io::Error },
    /// Options that do not go together, or do not fit.
    Usage(String),
    /// The configuration the options amount to is not possible.
    Config(ConfigError),
    /// `text` is not an address.
    Address { text: String, source: ParseError },
    /// The host name of an address does not resolve.
    Resolve { host: String, source: io::Error },
    /// There is no key file.
    KeyMissing(PathBuf),
    /// There is a key file already.
    KeyExists(PathBuf),
    /// Where the key file is to be, there is a directory, a device, or the like.
    KeyNoFile(PathBuf),
    /// The key file cannot be read or written.
    KeyIo { path: PathBuf, wanted: KeyUse, source: io::Error },
    /// The key file can be read by others.
    KeyOpenToOthers { path: PathBuf, mode: u32 },
    /// It is not a key file.
    KeyFormat(PathBuf),
    /// The key file asks for an unreasonable amount of work.
    KeyCost(PathBuf),
    /// Mode B is wanted, but the identity has no ML-DSA-87 key.
    KeyCannotSign,
    /// The passphrase, by its name, does not open the key file.
    PassphraseWrong { key: PathBuf, passphrase: String },
    /// The file with the passphrase or PIN cannot be used.
    SecretFile { kind: Kind, path: PathBuf, why: Refusal },
    /// `what` needs a passphrase or PIN, and it cannot be asked for.
    SecretMissing { kind: Kind, what: String },
    /// The passphrase or PIN cannot be used.
    SecretUnfit { kind: Kind, why: String },
    /// The token, or the key in it, cannot be used.
    Token(HsmError),
    /// The token has ML-DSA, and yet cannot sign for an identity; why.
    TokenUnfit(&'static str),
    /// The key file is another user's, and names a module to be loaded.
    KeyForeign { path: PathBuf, uri: String },
    /// The token holds another key than the one the key file was made with.
    OtherKey { key: PathBuf, uri: String },
    /// A rotation statement was not made.
    Rotation(RotationError),
    /// A file with a rotation statement is not what it should be.
    Statement { path: PathBuf, why: RotationError },
    /// There is a file already where a new one was to be.
    Exists(PathBuf),
    /// Nobody answered.
    Unreachable(String),
    /// No common mode.
    NoCommonMode { peer: String, offered: &'static str },
    /// Our signer did not sign for a handshake with this peer.
    SignerFailed(String),
    /// The other side is not the peer.
    NotThePeer(String),
    /// The endpoint cannot be made, in most cases because its address cannot be bound.
    Bind(BindError),
    /// Asked to stop before there was a session.
    Interrupted { before: String },
    /// The session ended, or time ran out, with messages unconfirmed.
    NotDelivered { peer: String, why: String, confirmed: u64, handed_over: u64 },
    /// Messages that their senders take for arrived never left through standard output: it failed, or the wait for it
    /// was broken off.
    Unwritten { count: u64, failed: Option<io::Error> },
    /// A message is longer than the limit, in bytes.
    TooLong { what: String, max: usize },
    /// The demo measured something it should not have.
    Verdict(String),
    /// The demo was asked to stop before it had measured enough.
    NoVerdict,
}

/// What a key file was opened for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum KeyUse {
    Read,
    Write,
}

impl Error {
    /// For `map_err`: a failed system call, and what it was for.
    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }

    /// For `map_err`: a key file that cannot be read or written.
    pub(crate) fn key(path: &Path, wanted: KeyUse) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::KeyIo { path, wanted, source }
    }

    /// The process's exit code.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Config(_) | Self::Exists(_) => 2,
            Self::Address { .. } => 3,
            Self::KeyMissing(_)
            | Self::KeyExists(_)
            | Self::KeyNoFile(_)
            | Self::KeyIo { .. }
            | Self::KeyOpenToOthers { .. }
            | Self::KeyFormat(_)
            | Self::KeyCost(_)
            | Self::KeyForeign { .. }
            | Self::KeyCannotSign => 4,
            Self::PassphraseWrong { .. }
            | Self::SecretFile { .. }
            | Self::SecretMissing { .. }
            | Self::SecretUnfit { .. }
            | Self::Token(
                HsmError::PinMissing
                | HsmError::PinTooLong
                | HsmError::PinFile { .. }
                | HsmError::PinIncorrect { .. }
                | HsmError::PinFinalTry { .. }
                | HsmError::PinLocked { .. }
                | HsmError::PinExpired { .. },
            ) => 5,
            Self::Rotation(
                RotationError::OldSigner | RotationError::NewSigner | RotationError::OldKey | RotationError::NewKey,
            )
            | Self::Token(_)
            | Self::TokenUnfit(_)
            | Self::OtherKey { .. }
            | Self::SignerFailed(_) => 14,
            Self::Unreachable(_) | Self::Resolve { .. } => 6,
            Self::NoCommonMode { .. } => 7,
            Self::NotThePeer(_) => 8,
            Self::Bind(
                BindError::InUse { .. }
                | BindError::Denied { .. }
                | BindError::Unavailable { .. }
                | BindError::Socket { .. },
            ) => 9,
            Self::Io { .. } | Self::Unwritten { failed: Some(_), .. } | Self::Bind(_) => 1,
            Self::Interrupted { .. } | Self::NotDelivered { .. } | Self::Unwritten { failed: None, .. } => 10,
            Self::Rotation(_) | Self::Statement { .. } => 15,
            Self::TooLong { .. } => 11,
            Self::Verdict(_) => 12,
            Self::NoVerdict => 13,
        }
    }

    /// What the reader can do about it.
    pub(crate) fn advice(&self) -> Option<String> {
        let advice = match self {
            Self::Io { source, .. } => return remedy(source).map(Into::into),
            Self::KeyIo { source, .. } => {
                let remedy = remedy(source).unwrap_or("check the path");
                format!("{remedy}, or name another key file with --key (for keygen: -o)")
            }
            Self::Config(_) | Self::Bind(_) | Self::Interrupted { .. } | Self::Verdict(_) | Self::NoVerdict => {
                return None;
            }
            Self::Usage(_) => "see `b4ae help`".into(),
            Self::Address { .. } => {
                "an address looks like b4ae://host:port#fingerprint, and `b4ae id` on the other machine prints it; in \
                 a shell, quote it"
                    .into()
            }
            Self::Resolve { .. } => "check the host name in the address, and this machine's name resolution".into(),
            Self::KeyMissing(path) => {
                format!("make one with `b4ae keygen -o {}`, or name another with --key", path.display())
            }
            Self::KeyExists(_) => "choose another path with -o, or give --force to replace it: the identity in it is \
                                   lost for good, and peers know this machine by it"
                .into(),
            Self::KeyNoFile(_) => "name a file with -o".into(),
            Self::Exists(_) => "choose another path with -o, or remove it".into(),
            Self::Rotation(RotationError::SameIdentity) => "make a new identity with `b4ae keygen -o FILE`".into(),
            Self::Rotation(_) => "see `b4ae help rotation make`".into(),
            Self::Statement { .. } => {
                "ask whoever gave it to you for another copy, and accept nothing by this one".into()
            }
            Self::SecretFile { kind, path, why: Refusal::OpenToOthers(_) } => format!(
                "make it private with `chmod 600 {}`; if others may have read it, choose another {}",
                path.display(),
                kind.word()
            ),
            Self::SecretFile { kind, .. } => {
                format!(
                    "name a file that holds the {}, and that this user can read, with {}",
                    kind.word(),
                    kind.option()
                )
            }
            Self::KeyOpenToOthers { path, .. } => format!(
                "make it private with `chmod 600 {}`; if others may have read it, make a new identity instead",
                path.display()
            ),
            Self::KeyFormat(_) => "restore it from a backup; it must be byte for byte what `b4ae keygen` wrote".into(),
            Self::KeyCost(_) => "do not use this file: `b4ae keygen` never writes such a one".into(),
            Self::KeyCannotSign => "use --mode a, or make an identity for both modes with `b4ae keygen`".into(),
            Self::PassphraseWrong { .. } => "try again; without the passphrase the keys cannot be recovered".into(),
            Self::SecretMissing { kind, .. } => format!(
                "run it in a terminal, or set {}, or give {}, or as a service, the credential {}",
                kind.variable(),
                kind.option(),
                kind.credential()
            ),
            Self::SecretUnfit { kind: Kind::Passphrase, .. } => "choose another passphrase".into(),
            Self::SecretUnfit { kind: Kind::Pin, .. } => "give the token's PIN".into(),
            Self::Token(HsmError::NoModule) => {
                "name the vendor's library with --module or in B4AE_HSM_MODULE, or as ?module-path=/PATH in the URI"
                    .into()
            }
            Self::Token(HsmError::PinMissing) => {
                "give --pin-file, or set B4AE_HSM_PIN, or as a service, the credential b4ae-hsm-pin".into()
            }
            Self::Token(error @ HsmError::NoToken { .. }) => {
                format!("{}; `b4ae hsm list` lists the tokens, and --mode a needs none", error.advice())
            }
            Self::Token(error) => error.advice().into(),
            Self::KeyForeign { .. } => {
                "a module is code that runs as this user: if you trust it, name it with --module".into()
            }
            Self::TokenUnfit(_) => "see what its maker says of licences, policies and a FIPS mode".into(),
            Self::OtherKey { .. } => "connect the token that the key file was made with; with another key this is \
                                      another identity, for which `b4ae keygen --hsm` makes a key file"
                .into(),
            Self::Unreachable(_) => {
                "check that the peer is running, has sessions to spare and is reached by UDP; then check the \
                 fingerprint: a peer is silent to whoever does not know its fingerprint, so a wrong one looks the same \
                 as a peer that is down; and if the peer lists whom it allows, ask its operator to add this identity \
                 (`b4ae id`)"
                    .into()
            }
            Self::NoCommonMode { .. } => "choose a mode the peer accepts with --mode, or ask its operator to accept \
                                          this one"
                .into(),
            Self::SignerFailed(_) => "check that the hardware token is plugged in and unlocked, and try again; mode A \
                                      (--mode a) needs no signature"
                .into(),
            Self::NotThePeer(_) => "if the peer lists whom it allows, ask its operator to add this identity's \
                                    fingerprint (`b4ae id`); otherwise something else sits at its address"
                .into(),
            Self::NotDelivered { .. } => "what was not confirmed may or may not have arrived; send it again".into(),
            Self::Unwritten { .. } => "their senders do not know: ask them to send again".into(),
            Self::TooLong { .. } => "split it".into(),
        };
        Some(advice)
    }
}

/// What can be done about a failed system call, where the failure itself tells.
fn remedy(source: &io::Error) -> Option<&'static str> {
    Some(match source.kind() {
        ErrorKind::NotFound | ErrorKind::IsADirectory | ErrorKind::NotADirectory => "check the path",
        ErrorKind::PermissionDenied => "check that this user may do that",
        ErrorKind::ReadOnlyFilesystem => "choose a place that can be written to",
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "make room on the disk",
        ErrorKind::BrokenPipe => "whatever read the output has ended before it had everything",
        _ => return None,
    })
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { doing, source } => write!(f, "{doing}: {source}"),
            Self::Usage(what) | Self::SecretUnfit { why: what, .. } => f.write_str(what),
            Self::Config(source) => source.fmt(f),
            Self::Address { text, source } => write!(f, "not an address: {text:?}: {source}"),
            Self::Resolve { host, source } => write!(f, "cannot find the host {host:?}: {source}"),
            Self::KeyMissing(path) => write!(f, "there is no key file {}", path.display()),
            Self::KeyExists(path) | Self::Exists(path) => {
                write!(f, "there is a file {} already; it was left alone", path.display())
            }
            Self::KeyNoFile(path) => {
                write!(f, "{} is a directory, a device or the like, and no place for a key file", path.display())
            }
            Self::KeyIo { path, wanted, source } => {
                let wanted = match wanted {
                    KeyUse::Read => "read",
                    KeyUse::Write => "write",
                };
                write!(f, "cannot {wanted} the key file {}: {source}", path.display())
            }
            Self::KeyOpenToOthers { path, mode } => {
                write!(f, "the key file {} can be read or written by others (mode {mode:04o})", path.display())
            }
            Self::KeyFormat(path) => write!(f, "{} is not a b4ae key file, or is damaged", path.display()),
            Self::KeyCost(path) => {
                write!(f, "the key file {} asks for an unreasonable amount of memory or work", path.display())
            }
            Self::KeyCannotSign => f.write_str("mode B needs an identity with an ML-DSA-87 key, and this one has none"),
            Self::PassphraseWrong { key, passphrase } => {
                write!(f, "{passphrase} does not open the key file {}", key.display())
            }
            Self::SecretFile { kind, path, why } => {
                write!(f, "cannot use the {} file {}: {why}", kind.word(), path.display())
            }
            Self::SecretMissing { kind, what } => {
                write!(f, "{what} needs a {}, and there is nobody to ask", kind.word())
            }
            Self::Token(error) => error.fmt(f),
            Self::TokenUnfit(why) => write!(f, "this token {why}"),
            Self::KeyForeign { path, uri } => {
                write!(f, "the key file {} is another user's, and names a module to load: {uri}", path.display())
            }
            Self::OtherKey { key, uri } => {
                write!(f, "{uri} is not the key that the key file {} was made with", key.display())
            }
            Self::Rotation(why) => write!(f, "the statement was not made: {why}"),
            Self::Statement { path, why } => write!(f, "{}: {why}", path.display()),
            Self::Unreachable(peer) => {
                write!(
                    f,
                    "no answer from {peer}: it is down, unreachable or full, it does not allow this identity, or the \
                     address or fingerprint is wrong"
                )
            }
            Self::NoCommonMode { peer, offered } => write!(f, "{peer} does not accept {offered}"),
            Self::SignerFailed(peer) => {
                write!(
                    f,
                    "the key's signer made no signature in time for the handshake with {peer}: it failed, or is too slow"
                )
            }
            Self::NotThePeer(peer) => write!(
                f,
                "the handshake with {peer} failed: it does not allow this identity, or what answered is not the peer"
            ),
            Self::Bind(source) => source.fmt(f),
            Self::Interrupted { before } => write!(f, "interrupted before {before}; nothing was sent"),
            Self::NotDelivered { peer, why, confirmed, handed_over } => {
                write!(f, "{confirmed} of {handed_over} messages to {peer} were confirmed, then: {why}")
            }
            Self::Unwritten { count, failed } => {
                let verb = if *count == 1 { "message was" } else { "messages were" };
                write!(f, "{count} confirmed {verb} not written to standard output: ")?;
                match failed {
                    Some(source) => source.fmt(f),
                    None => f.write_str("interrupted while its reader was slow"),
                }
            }
            Self::TooLong { what, max } => write!(f, "{what} is longer than a message may be ({max} bytes)"),
            Self::Verdict(what) => write!(f, "the demo failed: {what}"),
            Self::NoVerdict => f.write_str("interrupted before there was a verdict"),
        }
    }
}
