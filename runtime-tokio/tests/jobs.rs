//! Slow and broken signers: handshakes wait or fail, sessions go on.

mod common;

use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use b4ae_core::{
    CloseReason, Identity, ML_DSA_PUBLIC_KEY_LEN, ML_DSA_SIGNATURE_LEN, Mode, ModePolicy, Secret, SignError, Signer,
    SoftwareSigner,
};
use b4ae_tokio::{ConnectError, Endpoint, EndpointConfig, Placement};
use common::{bind, config, numbered, with_both_placements};

/// A signer that does something first.
struct Wrapped<F> {
    signer: SoftwareSigner,
    first: F,
}

impl<F: Fn() + Send + Sync> Signer for Wrapped<F> {
    fn public_key(&self) -> &[u8; ML_DSA_PUBLIC_KEY_LEN] {
        self.signer.public_key()
    }

    fn sign(
        &self,
        message: &[u8; 64],
        randomness: &[u8; 32],
        signature: &mut [u8; ML_DSA_SIGNATURE_LEN],
    ) -> Result<(), SignError> {
        (self.first)();
        self.signer.sign(message, randomness, signature)
    }
}

async fn bind_with(first: impl Fn() + Send + Sync + 'static, timeout: Duration, placement: Placement) -> Endpoint {
    let signer = SoftwareSigner::new(&Secret::new([101; 32]));
    let identity = Identity::with_signer(&Secret::new([102; 32]), Some(Arc::new(Wrapped { signer, first })));
    let config = config().handshake_timeout(timeout).build().expect("a valid configuration");
    let listen = "127.0.0.1:0".parse().expect("an address");
    Endpoint::bind(EndpointConfig::new(identity, config).listen(listen).placement(placement).job_threads(1))
        .await
        .expect("loopback can be bound")
}

#[test]
fn a_signer_that_takes_its_time_holds_nobody_else_up() {
    with_both_placements(|placement| async move {
        let (release, gate) = channel::<()>();
        let gate: Mutex<Receiver<()>> = Mutex::new(gate);
        let wait = move || {
            // Until the test lets go, or is over.
            let _ = gate.lock().expect("no panic").recv();
        };
        let alice = bind_with(wait, Duration::from_secs(50), placement).await;
        let bob = bind(config(), placement).await;
        let to_bob = alice.connect_with(&bob.uri("127.0.0.1"), ModePolicy::A).await.expect("mode A signs nothing");
        let to_alice = bob.accept().await.expect("bob runs");

        let uri = bob.uri("127.0.0.1");
        let signing = tokio::spawn({
            let alice = alice.clone();
            async move { alice.connect_with(&uri, ModePolicy::B).await }
        });
        for number in 0..50 {
            to_bob.send(numbered(number, 500)).await.expect("the session is open");
            assert_eq!(to_alice.recv().await.expect("the session is open"), numbered(number, 500));
        }
        assert!(!signing.is_finished(), "the signer has not signed yet");
        drop(release);
        assert_eq!(signing.await.expect("no panic").expect("the signer signed").mode(), Mode::B);
    });
}

#[test]
fn a_signer_that_panics_fails_the_handshake_and_nothing_else() {
    with_both_placements(|placement| async move {
        let alice = bind_with(|| panic!("the token is broken"), Duration::from_millis(300), placement).await;
        let bob = bind(config(), placement).await;
        // More often than there are job threads.
        for _ in 0..2 {
            let error = alice.connect_with(&bob.uri("127.0.0.1"), ModePolicy::B).await.expect_err("nothing is signed");
            assert!(matches!(error, ConnectError::Failed(CloseReason::Unreachable | CloseReason::HandshakeFailed)));
        }
        assert!(alice.stats().job_panics >= 2);
        alice.connect_with(&bob.uri("127.0.0.1"), ModePolicy::A).await.expect("the job threads go on");
    });
}
