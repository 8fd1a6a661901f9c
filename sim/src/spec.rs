//! What a host is to be, before it is.

use std::net::SocketAddr;
use std::sync::Arc;

use b4ae_core::{Config, Identity, SecretIdentity, Seed, SoftwareSigner};

use crate::app::{Behaviour, Reading};
use crate::draws::Draws;
use crate::host::Parts;
use crate::job::{Latency, SignerSwitch, SimSigner};

/// A host to be added to a [`World`](crate::World).
#[derive(Clone, Debug)]
#[must_use]
pub struct HostSpec {
    config: Config,
    addr: Option<SocketAddr>,
    identity: Option<Identity>,
    signs: bool,
    behaviour: Behaviour,
    reading: Reading,
    job_latency: Latency,
    lateness: Latency,
    keep_messages: bool,
}

impl HostSpec {
    /// A host with this configuration, an identity and an address of its own, and a silent application.
    pub const fn new(config: Config) -> Self {
        Self {
            config,
            addr: None,
            identity: None,
            signs: true,
            behaviour: Behaviour::Silent,
            reading: Reading::Prompt,
            job_latency: Latency::Zero,
            lateness: Latency::Zero,
            keep_messages: false,
        }
    }

    /// At this address rather than `10.x.y.1:4433`, each host in a /24 of its own.
    pub const fn at(mut self, addr: SocketAddr) -> Self {
        self.addr = Some(addr);
        self
    }

    /// With this identity rather than one drawn from the seed. Signers given so are neither slow nor failing.
    pub fn identity(mut self, identity: Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// Without an ML-DSA key: no mode B, and a cheaper host.
    pub const fn without_signer(mut self) -> Self {
        self.signs = false;
        self
    }

    /// What the application does with each session.
    pub const fn behaviour(mut self, behaviour: Behaviour) -> Self {
        self.behaviour = behaviour;
        self
    }

    /// When the application takes messages.
    pub const fn reading(mut self, reading: Reading) -> Self {
        self.reading = reading;
        self
    }

    /// How long slow work takes.
    pub const fn job_latency(mut self, latency: Latency) -> Self {
        self.job_latency = latency;
        self
    }

    /// How late timers fire.
    pub const fn lateness(mut self, lateness: Latency) -> Self {
        self.lateness = lateness;
        self
    }

    /// Keeps every message taken, for [`World::messages`](crate::World::messages).
    pub const fn keep_messages(mut self) -> Self {
        self.keep_messages = true;
        self
    }

    pub(crate) fn into_parts(self, id: u16, draws: &Draws) -> Parts {
        let switch = Arc::new(SignerSwitch::default());
        let identity = self.identity.unwrap_or_else(|| {
            let secret = SecretIdentity::generate(&Seed::new(draws.bytes("identity", 0)));
            match secret.ml_dsa.as_ref().filter(|_| self.signs) {
                Some(seed) => {
                    let signer = SimSigner::new(SoftwareSigner::new(seed), Arc::clone(&switch));
                    Identity::with_signer(&secret.x25519, Arc::new(signer))
                }
                None => Identity::without_signer(&secret.x25519, None),
            }
        });
        let [high, low] = id.to_be_bytes();
        Parts {
            addr: self.addr.unwrap_or_else(|| ([10, high, low, 1], 4433).into()),
            identity,
            switch,
            config: self.config,
            behaviour: self.behaviour,
            reading: self.reading,
            job_latency: self.job_latency,
            lateness: self.lateness,
            keep_messages: self.keep_messages,
        }
    }
}
