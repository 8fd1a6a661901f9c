//! The signer: an identity's key on a token, behind the core's trait.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use b4ae_core::{ML_DSA_PUBLIC_KEY_LEN, ML_DSA_SIGNATURE_LEN, SignError, Signer};

use crate::connections::{Connection, Connections};
use crate::key::{self, KeyInfo};
use crate::workers::{END, NoResult, Workers, now};
use crate::{HsmError, Pin, Pkcs11Uri};

/// How a signer uses its token.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct SignerOptions {
    /// The most sessions at a time, and so the most signatures at a time. 4, and at least 1; fewer if the token says
    /// that it has fewer.
    pub max_sessions: usize,
    /// How long a caller waits for a signature, or for a session to be free. 10 s.
    pub wait: Duration,
    /// How long opening waits: loading the module, logging in, finding the key and trying it out. 30 s, and three more
    /// for a call that is still inside the module then.
    pub open_wait: Duration,
}

impl Default for SignerOptions {
    fn default() -> Self {
        Self { max_sessions: 4, wait: Duration::from_secs(10), open_wait: Duration::from_secs(30) }
    }
}

impl SignerOptions {
    /// How many there are to be with a token that has so many, if it says. Some say 0 for "I do not know".
    fn sessions(&self, token: Option<u64>) -> usize {
        let limit = token.and_then(|limit| usize::try_from(limit).ok()).filter(|limit| *limit > 0);
        self.max_sessions.min(limit.unwrap_or(usize::MAX)).max(1)
    }
}

/// An ML-DSA-87 key on a token.
///
/// Signing waits for the token, on the caller's thread, but no longer than [`SignerOptions::wait`]; calls into the
/// module are made on threads of its own. A lost session, token or login is made good with one more try, unseen by the
/// caller.
///
/// Dropping it closes the sessions, and waits for that and for calls that are still inside the module, for three
/// seconds at most: drop it before `main` returns. When a process ends it runs the module's destructors, and a call
/// that is inside the module then may crash it.
pub struct Pkcs11Signer {
    workers: Workers,
    key: Arc<Key>,
    wait: Duration,
    name: String,
    /// The error of the last try, if it failed, and when the first of a row did.
    lost: Mutex<Option<(Instant, HsmError)>>,
    signatures: AtomicU64,
    failures: AtomicU64,
}

/// What the threads share.
struct Key {
    connections: Connections,
    info: KeyInfo,
}

/// How a signer is, by [`Pkcs11Signer::status`].
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct SignerStatus {
    /// Whether it signs.
    pub state: SignerState,
    /// Signatures made so far, health checks left out.
    pub signatures: u64,
    /// Signatures asked for and not made so far, health checks left out.
    pub failures: u64,
}

/// Whether a signer signs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum SignerState {
    /// It did when it was last asked to.
    Ready,
    /// It did not when it was last asked to, or too late for whoever had asked. It tries again whenever it is asked to;
    /// a refused PIN is not tried again.
    Lost {
        /// When it first did not.
        since: Instant,
        /// Why it last did not.
        error: HsmError,
    },
    /// A call has been inside the module, or callers without a free session, for longer than
    /// [`SignerOptions::wait`], and no other call has ended since then.
    Stalled {
        /// Since when.
        since: Instant,
    },
}

impl Pkcs11Signer {
    /// [`open_with`](Self::open_with) the default options.
    pub fn open(uri: &Pkcs11Uri, pin: Pin) -> Result<Self, HsmError> {
        Self::open_with(uri, pin, SignerOptions::default())
    }

    /// Logs in, tries the PIN once, finds the one ML-DSA-87 private key that `uri` names, and signs a test message with
    /// it. A key that is extractable or not sensitive is refused.
    pub fn open_with(uri: &Pkcs11Uri, pin: Pin, options: SignerOptions) -> Result<Self, HsmError> {
        let opening = Workers::new(1);
        let named = uri.clone();
        let opened = opening.run(options.open_wait, move || {
            let connections = Connections::new(&named, pin, options.wait)?;
            let (info, token) = connections.with(|connection| {
                let info = key::read(&connection.session, connection.key, &named, &connection.token)?;
                info.usable()?;
                key::try_out(&connection.session, connection.key, &info, &connection.token)?;
                Ok((info, connection.token.clone()))
            })?;
            Ok((connections, info, token))
        });
        let (connections, info, token) = match opened {
            Ok(opened) => opened?,
            Err(NoResult::Busy) => {
                return Err(HsmError::Busy { token: format!("the token of {uri}"), waited: options.open_wait });
            }
            Err(NoResult::NoThread | NoResult::Closed) => return Err(HsmError::System { what: "a thread" }),
        };
        Ok(Self {
            workers: Workers::new(options.sessions(token.max_sessions)),
            key: Arc::new(Key { connections, info }),
            lost: Mutex::new(None),
            wait: options.wait,
            name: token.name(),
            signatures: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        })
    }

    /// The key, as it was when the signer was opened.
    pub fn key(&self) -> &KeyInfo {
        &self.key.info
    }

    /// How it is. Never waits for the token.
    pub fn status(&self) -> SignerStatus {
        let state = if let Some(since) = self.workers.stalled(self.wait) {
            SignerState::Stalled { since }
        } else if let Some((since, error)) = self.lost().clone() {
            SignerState::Lost { since, error }
        } else {
            SignerState::Ready
        };
        SignerStatus {
            state,
            signatures: self.signatures.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
        }
    }

    /// Signs a test message and verifies it: waits for the token as a signature does. What comes of it shows in
    /// [`status`](Self::status).
    pub fn check(&self) -> Result<(), HsmError> {
        self.signature(key::test_message()?).map(|_| ())
    }

    /// Takes `pin` for the next login and lets it be tried, once. Nothing else does after a refused PIN; after a login
    /// that failed otherwise it spares the wait for the next try.
    pub fn retry_pin(&self, pin: Pin) {
        self.key.connections.set_pin(pin);
    }

    /// What [`Signer::sign`] does, with the reason where it fails.
    pub fn try_sign(&self, message: &[u8; 64]) -> Result<Box<[u8; ML_DSA_SIGNATURE_LEN]>, HsmError> {
        let result = self.signature(*message);
        let counter = if result.is_ok() { &self.signatures } else { &self.failures };
        counter.fetch_add(1, Ordering::Relaxed);
        result
    }

    /// What dropping it does, for where others may hold it still when the process is about to end. Nothing is signed
    /// afterwards.
    pub fn close(&self) {
        let key = Arc::clone(&self.key);
        self.workers.end(END, move || key.connections.close());
        self.key.connections.abandon();
    }

    fn signature(&self, message: [u8; 64]) -> Result<Box<[u8; ML_DSA_SIGNATURE_LEN]>, HsmError> {
        let key = Arc::clone(&self.key);
        let result = match self.workers.run(self.wait, move || key.sign(&message)) {
            Ok(result) => result,
            Err(NoResult::Busy) => Err(HsmError::Busy { token: self.name.clone(), waited: self.wait }),
            Err(NoResult::NoThread) => Err(HsmError::System { what: "a thread" }),
            Err(NoResult::Closed) => Err(HsmError::Closed { key: self.key.info.uri().to_string() }),
        };
        // Noted by who asked: a signature that comes too late for him is none.
        let mut lost = self.lost();
        *lost = match &result {
            Ok(_) => None,
            Err(error) => Some((lost.as_ref().map_or_else(now, |(since, _)| *since), error.clone())),
        };
        drop(lost);
        result
    }

    fn lost(&self) -> MutexGuard<'_, Option<(Instant, HsmError)>> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pkcs11Signer {
    /// The token is called on the signer's own threads alone: it may hang.
    fn drop(&mut self) {
        self.close();
    }
}

impl Key {
    fn sign(&self, message: &[u8; 64]) -> Result<Box<[u8; ML_DSA_SIGNATURE_LEN]>, HsmError> {
        self.connections.with(|Connection { session, key, token, .. }| {
            key::sign(session, *key, &self.info.public_key, message)
                .map_err(|error| HsmError::of(&error, &token.name()))?
                .ok_or_else(|| HsmError::BadSignature { token: token.name(), key: self.info.uri().to_string() })
        })
    }
}

impl Signer for Pkcs11Signer {
    fn public_key(&self) -> &[u8; ML_DSA_PUBLIC_KEY_LEN] {
        &self.key.info.public_key
    }

    /// The token hedges the signature, if it does, with random numbers of its own: `randomness` is not used.
    fn sign(
        &self,
        message: &[u8; 64],
        _randomness: &[u8; 32],
        signature: &mut [u8; ML_DSA_SIGNATURE_LEN],
    ) -> Result<(), SignError> {
        *signature = *self.try_sign(message).map_err(|_| SignError)?;
        Ok(())
    }
}

impl fmt::Debug for Pkcs11Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pkcs11Signer")
            .field("key", &self.key.info)
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_no_more_sessions_than_the_token_has() {
        let options = |max_sessions| SignerOptions { max_sessions, ..SignerOptions::default() };
        for (wanted, token, sessions) in
            [(4, None, 4), (4, Some(9), 4), (4, Some(2), 2), (4, Some(0), 4), (0, None, 1), (4, Some(u64::MAX), 4)]
        {
            assert_eq!(options(wanted).sessions(token), sessions);
        }
    }
}
