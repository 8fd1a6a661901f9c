//! Tokens that are slow, and tokens that do not answer.

use std::sync::mpsc;
use std::time::Duration;

use b4ae_hsm::{HsmError, Pkcs11Signer, SignerOptions, SignerState};

use crate::support::{alone, pin, sessions, sign, token_tests};

fn impatient(max_sessions: usize) -> SignerOptions {
    let mut options = sessions(max_sessions);
    options.wait = Duration::from_millis(300);
    options
}

token_tests! {
    fn a_slow_token_is_waited_for(token) {
        let signer = token.signer(sessions(1));
        token.faults("C_Sign delay 1000");
        sign(&signer, 1).unwrap();
        assert_eq!(signer.status().state, SignerState::Ready);
    }

    fn a_token_that_hangs_holds_nobody(token) {
        let signer = token.signer(impatient(2));
        token.faults("C_Sign hang");
        // Two of them are inside the token, the others find no session: all come back.
        std::thread::scope(|scope| {
            for fill in 0..6 {
                let signer = &signer;
                scope.spawn(move || {
                    let error = sign(signer, fill).unwrap_err();
                    assert!(matches!(error, HsmError::Busy { .. }), "{error}");
                });
            }
        });
        let status = signer.status();
        assert!(matches!(status.state, SignerState::Stalled { .. }), "{status:?}");
        assert_eq!(status.failures, 6);
        assert!(matches!(signer.check(), Err(HsmError::Busy { .. })));

        token.no_faults();
        while signer.status().state != SignerState::Ready {
            // Fails while the token still comes round.
            let _ = signer.check();
        }
        assert_eq!(signer.status().failures, 6);
    }

    /// One call that hangs takes one session.
    fn the_other_sessions_go_on_while_one_hangs(token) {
        let signer = token.signer(sessions(2));
        let before = token.calls("C_Sign");
        token.faults("C_Sign hang 1");
        std::thread::scope(|scope| {
            let hanging = scope.spawn(|| sign(&signer, 0));
            // Until it is inside: the fault is for one call.
            token.wait_for_call("C_Sign", before);
            for fill in 1..4 {
                sign(&signer, fill).unwrap();
            }
            token.no_faults();
            hanging.join().unwrap().unwrap();
        });
    }

    /// A session that never comes back is no stall: the others sign.
    fn one_session_that_hangs_is_no_stall(token) {
        let signer = token.signer(impatient(2));
        let before = token.calls("C_Sign");
        token.faults("C_Sign hang 1");
        assert!(matches!(sign(&signer, 0), Err(HsmError::Busy { .. })));
        token.wait_for_call("C_Sign", before);
        assert_ne!(signer.status().state, SignerState::Ready);
        // A busy machine may be slower than this signer is patient.
        while sign(&signer, 1).is_err() {}
        assert_eq!(signer.status().state, SignerState::Ready);
    }

    /// Whoever asked has gone without it: what comes too late does not count.
    fn a_token_that_is_too_slow_for_everybody_is_not_ready(token) {
        let signer = token.signer(impatient(1));
        token.faults("C_Sign delay 1000");
        for fill in 0..2 {
            assert!(matches!(sign(&signer, fill), Err(HsmError::Busy { .. })));
            while matches!(signer.status().state, SignerState::Stalled { .. }) {
                std::thread::yield_now();
            }
            // The signature has been made.
            let state = signer.status().state;
            assert!(matches!(state, SignerState::Lost { error: HsmError::Busy { .. }, .. }), "{state:?}");
        }
        token.no_faults();
        while sign(&signer, 2).is_err() {}
        assert_eq!(signer.status().state, SignerState::Ready);
    }

    /// Nobody is inside when the token begins to hang: closing the sessions is what does.
    fn dropping_does_not_wait_for_ever(token) {
        let signer = token.signer(sessions(2));
        let before = token.calls("C_CloseSession");
        token.faults("* hang");
        let (done, dropped) = mpsc::channel();
        std::thread::spawn(move || {
            drop(signer);
            done.send(()).unwrap();
        });
        dropped.recv_timeout(Duration::from_secs(120)).unwrap();
        assert_eq!(token.calls("C_CloseSession"), before + 1);
    }

    fn opening_does_not_wait_for_ever(token) {
        let uri = token.signer(sessions(1)).key().uri();
        let mut options = sessions(1);
        options.open_wait = Duration::from_millis(300);
        token.faults("C_OpenSession hang");
        let error = Pkcs11Signer::open_with(&uri, pin(), options).unwrap_err();
        assert!(matches!(error, HsmError::Busy { .. }), "{error}");
    }
}

/// A call that is inside the module when the process ends meets the module's destructors.
#[test]
#[ignore = "needs the test token: scripts/check hsm"]
fn a_signer_that_is_dropped_leaves_no_call_behind() {
    let path = concat!(module_path!(), "::a_signer_that_is_dropped_leaves_no_call_behind");
    alone(path, 20, |token| {
        let mut options = sessions(2);
        options.wait = Duration::ZERO;
        let signer = token.signer(options);
        let before = token.calls("C_Sign");
        token.faults("C_Sign delay 100 1");
        assert!(matches!(sign(&signer, 1), Err(HsmError::Busy { .. })));
        token.wait_for_call("C_Sign", before);
        drop(signer);
        // Its session, too, has been closed.
        assert_eq!(token.calls("C_OpenSession"), token.calls("C_CloseSession"));
    });
}
