//! Slow and broken signers: handshakes wait or fail, sessions go on.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use b4ae_core::{
    CloseReason, Identity, ML_DSA_PUBLIC_KEY_LEN, ML_DSA_SIGNATURE_LEN, Mode, ModePolicy, Secret, SignError, Signer,
    SoftwareSigner,
};
use b4ae_tokio::{ConnectError, EndpointConfig};

use crate::bench::{accept, bind, config, connect, done, goes_on, numbered, recv, send, try_connect};
use crate::driver::{Driver, Endpoint, Wait};

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

fn bind_with(driver: &dyn Driver, first: impl Fn() + Send + Sync + 'static, timeout: Duration) -> Box<dyn Endpoint> {
    let signer = SoftwareSigner::new(&Secret::new([101; 32]));
    let signer = driver.signer(Arc::new(Wrapped { signer, first }));
    let identity = Identity::with_signer(&Secret::new([102; 32]), signer);
    let config = config().handshake_timeout(timeout).build().expect("a valid configuration");
    let listen = "127.0.0.1:0".parse().expect("an address");
    let config = EndpointConfig::new(identity, config).listen(listen).flush_on_drop(Duration::from_secs(2));
    driver.bind(config.job_threads(1)).expect("loopback can be bound")
}

pub(crate) fn a_signer_that_takes_its_time_holds_nobody_else_up(driver: &dyn Driver) {
    let (release, gate) = channel::<()>();
    let gate: Mutex<Receiver<()>> = Mutex::new(gate);
    let wait = move || {
        // Until the test lets go, or is over.
        let _ = gate.lock().expect("no panic").recv();
    };
    let alice = bind_with(driver, wait, Duration::from_secs(35));
    let bob = bind(driver, config());
    let to_bob = connect(&*alice, &bob.uri("127.0.0.1"));
    let to_alice = accept(&*bob);

    let signing = thread::spawn({
        let (alice, uri) = (alice.another(), bob.uri("127.0.0.1"));
        move || try_connect(&*alice, &uri, ModePolicy::B).map(|peer| peer.mode())
    });
    for number in 0..50 {
        send(&*to_bob, numbered(number, 500));
        assert_eq!(recv(&*to_alice), numbered(number, 500));
    }
    assert!(!signing.is_finished(), "the signer has not signed yet");
    drop(release);
    assert_eq!(signing.join().expect("no panic").expect("the signer signed"), Mode::B);
}

pub(crate) fn a_signer_that_panics_fails_the_handshake_and_nothing_else(driver: &dyn Driver) {
    let alice = bind_with(driver, || panic!("the token is broken"), Duration::from_millis(300));
    let bob = bind(driver, config());
    // More often than there are job threads. On a busy machine an attempt may end before it is at the signature.
    for _ in 0..20 {
        let error = try_connect(&*alice, &bob.uri("127.0.0.1"), ModePolicy::B).err().expect("nothing is signed");
        assert!(is_of_a_signer(&error), "{error:?}");
        if alice.stats().job_panics >= 2 {
            break;
        }
    }
    assert!(alice.stats().job_panics >= 2, "panics are counted");
    goes_on(&*alice, &*bob);
}

/// A signer's failure, or what an attempt comes to that ends before it is at the signature.
fn is_of_a_signer(error: &ConnectError) -> bool {
    matches!(error, ConnectError::Failed(CloseReason::Unreachable | CloseReason::SignerFailed))
}

/// An endpoint whose one thread for signatures never comes back from the first, until it is released.
struct Stuck {
    endpoint: Box<dyn Endpoint>,
    asked: Arc<AtomicBool>,
    release: Sender<()>,
}

impl Stuck {
    fn bind(driver: &dyn Driver) -> Self {
        let (release, gate) = channel::<()>();
        let (gate, asked) = (Mutex::new(gate), Arc::new(AtomicBool::new(false)));
        let never = {
            let asked = Arc::clone(&asked);
            move || {
                asked.store(true, Ordering::Relaxed);
                let _ = gate.lock().expect("no panic").recv();
            }
        };
        Self { endpoint: bind_with(driver, never, Duration::from_millis(500)), asked, release }
    }

    /// Has `from` ask for a signature, until the signer has it.
    fn is_asked_by(&self, from: &dyn Endpoint) {
        let uri = self.endpoint.uri("127.0.0.1");
        for _ in 0..100 {
            let opened = from.connect(&uri, Some(ModePolicy::B), Wait::For(Duration::from_millis(300)));
            assert!(opened.is_none_or(|opened| opened.is_err()), "nothing is signed");
            if self.asked.load(Ordering::Relaxed) {
                break;
            }
        }
        assert!(self.asked.load(Ordering::Relaxed), "the signer is asked");
    }
}

pub(crate) fn a_signer_that_never_signs_hinders_neither_mode_a_nor_the_end(driver: &dyn Driver) {
    let bob = Stuck::bind(driver);
    let carol = bind(driver, config());
    bob.is_asked_by(&*carol);
    let Stuck { endpoint: bob, release, .. } = bob;
    let (to_bob, to_carol) = (bob.uri("127.0.0.1"), carol.uri("127.0.0.1"));
    // His own handshakes in mode B wait behind it in vain, and say why.
    let told = (0..20).any(|_| {
        let error = try_connect(&*bob, &to_carol, ModePolicy::B).err().expect("nothing is signed");
        assert!(is_of_a_signer(&error), "{error:?}");
        matches!(error, ConnectError::Failed(CloseReason::SignerFailed))
    });
    assert!(told, "whoever dials is told that the signer did not sign");

    goes_on(&*bob, &*carol);
    let (there, here) = (connect(&*carol, &to_bob), accept(&*bob));
    for number in 0..10 {
        send(&*there, numbered(number, 500));
        assert_eq!(recv(&*here), numbered(number, 500));
    }
    done(bob.close(Duration::from_secs(2), Wait::Long));
    drop(bob);
    drop(release);
}

pub(crate) fn a_signer_that_never_signs_stops_no_departure(driver: &dyn Driver) {
    let bob = Stuck::bind(driver);
    let carol = bind(driver, config());
    let (to_bob, to_carol) = (connect(&*carol, &bob.endpoint.uri("127.0.0.1")), accept(&*bob.endpoint));
    bob.is_asked_by(&*carol);
    let before = bob.endpoint.stats().slots_sent;
    for number in 0..10 {
        send(&*to_carol, numbered(number, 500));
        assert_eq!(recv(&*to_bob), numbered(number, 500));
    }
    let left = bob.endpoint.stats().slots_sent - before;
    // The last may not be counted yet.
    assert!(left >= 9, "cells go on leaving: {left}");
    drop(bob.release);
}
