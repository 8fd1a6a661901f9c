//! Tokens that are slow, and tokens that do not answer.

use std::time::Duration;

use b4ae_hsm::{HsmError, Pkcs11Signer, SignerOptions, SignerState};

use crate::support::{pin, sessions, sign, token_tests};

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
        token.faults("C_Sign hang 1");
        std::thread::scope(|scope| {
            let hanging = scope.spawn(|| sign(&signer, 0));
            // Until it is inside: the fault is for one call.
            let before = token.calls("C_Sign");
            while token.calls("C_Sign") == before && !hanging.is_finished() {
                std::thread::yield_now();
            }
            for fill in 1..4 {
                sign(&signer, fill).unwrap();
            }
            token.no_faults();
            hanging.join().unwrap().unwrap();
        });
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
