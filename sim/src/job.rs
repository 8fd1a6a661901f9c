//! Slow work and late timers: latencies drawn from the seed, and signers that are slow or fail.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use b4ae_core::{ML_DSA_PUBLIC_KEY_LEN, ML_DSA_SIGNATURE_LEN, SignError, Signer, SoftwareSigner};

use crate::draws::{Draws, up_to};

/// How long something takes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Latency {
    /// No time at all.
    #[default]
    Zero,
    /// Always as long.
    Fixed(Duration),
    /// Evenly between the two, bounds included.
    Between(Duration, Duration),
}

impl Latency {
    /// The latency of whatever `name` and `index` stand for: the same whenever it is asked.
    pub(crate) fn draw(self, draws: &Draws, name: &str, index: u64) -> Duration {
        match self {
            Self::Zero => Duration::ZERO,
            Self::Fixed(time) => time,
            Self::Between(least, most) => {
                let span = u64::try_from(most.saturating_sub(least).as_nanos()).unwrap_or(u64::MAX);
                least + Duration::from_nanos(up_to(&mut draws.stream(name, index), span))
            }
        }
    }
}

/// The switch of a simulated signer, shared with the host that owns it.
#[derive(Debug, Default)]
pub(crate) struct SignerSwitch {
    calls: AtomicU64,
    failing: AtomicBool,
}

impl SignerSwitch {
    /// Signatures asked for so far.
    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    pub(crate) fn set_failing(&self, failing: bool) {
        self.failing.store(failing, Ordering::Relaxed);
    }
}

/// A software signer that counts its calls and fails on demand. The world adds the time it takes.
pub(crate) struct SimSigner {
    inner: SoftwareSigner,
    switch: Arc<SignerSwitch>,
}

impl SimSigner {
    pub(crate) const fn new(inner: SoftwareSigner, switch: Arc<SignerSwitch>) -> Self {
        Self { inner, switch }
    }
}

impl fmt::Debug for SimSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SimSigner(..)")
    }
}

impl Signer for SimSigner {
    fn public_key(&self) -> &[u8; ML_DSA_PUBLIC_KEY_LEN] {
        self.inner.public_key()
    }

    fn sign(
        &self,
        message: &[u8; 64],
        randomness: &[u8; 32],
        signature: &mut [u8; ML_DSA_SIGNATURE_LEN],
    ) -> Result<(), SignError> {
        self.switch.calls.fetch_add(1, Ordering::Relaxed);
        if self.switch.failing.load(Ordering::Relaxed) {
            return Err(SignError);
        }
        self.inner.sign(message, randomness, signature)
    }
}
