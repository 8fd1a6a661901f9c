//! Sessions, logins and tokens that are lost.

use std::sync::Barrier;

use b4ae_hsm::{HsmError, Pkcs11Signer, SignerOptions, SignerState, Token};
use cryptoki::object::Attribute;

use crate::support::{LABEL, Others, TestToken, pin, sessions, sign, token_tests};

/// Functions that a signature calls, with a session at hand and after its loss, and what they return when a token is
/// removed, a session, a login or a handle is lost, a module was finalised, memory is short, or the device is broken.
const LOSSES: [&str; 14] = [
    "C_SignInit CKR_DEVICE_REMOVED",
    "C_SignInit CKR_SESSION_HANDLE_INVALID",
    "C_SignInit CKR_SESSION_CLOSED",
    "C_SignInit CKR_CRYPTOKI_NOT_INITIALIZED",
    "C_SignInit CKR_USER_NOT_LOGGED_IN",
    "C_SignInit CKR_KEY_HANDLE_INVALID",
    "C_SignInit CKR_OBJECT_HANDLE_INVALID",
    "C_Sign CKR_DEVICE_ERROR",
    "C_Sign CKR_DEVICE_REMOVED",
    "C_Sign CKR_TOKEN_NOT_PRESENT",
    "C_Sign CKR_GENERAL_ERROR",
    "C_Sign CKR_DEVICE_MEMORY",
    "C_SignInit CKR_HOST_MEMORY",
    "* CKR_DEVICE_REMOVED",
];

/// A signer with so many sessions that nobody uses.
fn with_idle_sessions(token: &TestToken, count: usize) -> Pkcs11Signer {
    let signer = token.signer(sessions(count));
    let before = token.calls("C_Sign");
    token.faults("C_Sign hang");
    std::thread::scope(|scope| {
        for fill in 0..count {
            let signer = &signer;
            scope.spawn(move || sign(signer, fill as u8).unwrap());
        }
        // All at once.
        token.wait_for_call("C_Sign", before + count - 1);
        token.no_faults();
    });
    signer
}

token_tests! {
    fn what_is_lost_once_is_not_seen(token) {
        let signer = token.signer(sessions(1));
        for loss in LOSSES {
            token.faults(&format!("{loss} 1"));
            sign(&signer, 1).unwrap_or_else(|error| panic!("{loss}: {error}"));
            assert_eq!(signer.status().state, SignerState::Ready);
        }
        let status = signer.status();
        assert_eq!((status.signatures, status.failures), (LOSSES.len() as u64, 0));
    }

    fn what_stays_lost_is_an_error_and_comes_back(token) {
        let signer = token.signer(sessions(1));
        for loss in LOSSES {
            token.faults(loss);
            let mut sinces = Vec::new();
            for _ in 0..2 {
                let error = sign(&signer, 1).unwrap_err();
                let code = loss.split_once(' ').unwrap().1;
                let lost = matches!(error, HsmError::Lost { .. } | HsmError::ModuleNotInitialised { .. });
                assert!(lost, "{loss}: {error}");
                assert!(error.to_string().contains(code), "{loss}: {error}");
                assert!(error.to_string().contains(LABEL) || loss.starts_with('*'), "{loss}: {error}");
                let SignerState::Lost { since, error: stored } = signer.status().state else { panic!("{loss}") };
                assert_eq!(stored, error);
                sinces.push(since);
            }
            assert_eq!(sinces[0], sinces[1], "lost since the first failure of a row");
            token.no_faults();
            sign(&signer, 2).unwrap_or_else(|error| panic!("after {loss}: {error}"));
            assert_eq!(signer.status().state, SignerState::Ready);
        }
        assert_eq!(signer.status().failures, 2 * LOSSES.len() as u64);
    }

    /// Faults of connecting anew, after a loss: one clear error, and the next signature is made.
    fn a_failure_to_connect_is_told_and_not_kept(token) {
        let signer = token.signer(sessions(1));
        for fault in [
            "C_OpenSession CKR_SESSION_COUNT",
            "C_OpenSession CKR_TOKEN_NOT_PRESENT",
            "C_Login CKR_DEVICE_REMOVED",
            "C_FindObjectsInit CKR_DEVICE_ERROR",
            "C_GetSlotList CKR_DEVICE_ERROR",
            "C_GetTokenInfo CKR_DEVICE_REMOVED",
            "C_Initialize CKR_GENERAL_ERROR",
        ] {
            token.faults(&format!("C_SignInit CKR_USER_NOT_LOGGED_IN 1\n{fault}"));
            let error = sign(&signer, 1).unwrap_err();
            assert!(error.to_string().contains(fault.split_once(' ').unwrap().1), "{fault}: {error}");
            token.no_faults();
            sign(&signer, 2).unwrap_or_else(|error| panic!("after {fault}: {error}"));
        }
    }

    fn another_components_logout_is_not_seen(token) {
        let signer = token.signer(SignerOptions::default());
        let others = Others::of(&TestToken::module(), LABEL);
        for fill in 0..3 {
            others.session().logout().unwrap();
            sign(&signer, fill).unwrap();
        }
    }

    fn another_components_finalize_is_not_seen(token) {
        let signer = token.signer(SignerOptions::default());
        for fill in 0..3 {
            Others::of(&TestToken::module(), LABEL).context.finalize().unwrap();
            sign(&signer, fill).unwrap();
        }
    }

    /// After `C_Initialize` the module numbers sessions from one again: the numbers of the signer's old ones are other
    /// people's.
    fn sessions_of_others_with_our_old_numbers_stay_open(token) {
        let signer = with_idle_sessions(token, 4);
        Others::of(&TestToken::module(), LABEL).context.finalize().unwrap();
        sign(&signer, 1).unwrap();
        let others = Others::of(&TestToken::module(), LABEL);
        let sessions: Vec<_> = (0..16).map(|_| others.context.open_ro_session(others.slot).unwrap()).collect();
        sign(&signer, 1).unwrap();
        drop(signer);
        for session in sessions {
            session.get_session_info().unwrap();
        }
    }

    /// A session that is in use while another thread learns that all numbers are void: by what was returned, or because
    /// the module had to be initialised. It is not closed, since its number may be somebody else's by then.
    fn a_session_whose_number_became_void_is_not_closed(token) {
        let uri = token.signer(sessions(1)).key().uri();
        for (loss, closed_by_the_loser) in [
            ("C_SignInit CKR_DEVICE_REMOVED 1", 0),
            // As if the module had been finalised: 0x0 says that initialising was necessary.
            ("C_SignInit CKR_GENERAL_ERROR 1\nC_Initialize 0x0 1", 1),
        ] {
            token.no_faults();
            let signer = Pkcs11Signer::open_with(&uri, pin(), sessions(2)).unwrap();
            let (signed, closed) = (token.calls("C_Sign"), token.calls("C_CloseSession"));
            // The first one inside takes the first line, and hangs; the second one is the loser.
            token.faults(&format!("C_SignInit delay 0 1\n{loss}\nC_Sign hang 1"));
            std::thread::scope(|scope| {
                let hanging = scope.spawn(|| sign(&signer, 1));
                while token.calls("C_Sign") == signed {
                    std::thread::yield_now();
                }
                sign(&signer, 2).unwrap();
                token.no_faults();
                hanging.join().unwrap().unwrap();
            });
            assert_eq!(token.calls("C_CloseSession") - closed, closed_by_the_loser, "{loss}");
            drop(signer);
            assert_eq!(token.calls("C_CloseSession") - closed, closed_by_the_loser + 1, "{loss}");
        }
    }

    /// The others stay in use, and are closed in the end: on a token with few sessions each that was left open would be
    /// missed.
    fn one_session_that_is_lost_is_the_only_one(token) {
        let signer = with_idle_sessions(token, 4);
        for loss in ["CKR_SESSION_HANDLE_INVALID", "CKR_SESSION_CLOSED"] {
            let (opened, closed) = (token.calls("C_OpenSession"), token.calls("C_CloseSession"));
            token.faults(&format!("C_SignInit {loss} 1"));
            for fill in 0..4 {
                sign(&signer, fill).unwrap();
            }
            assert_eq!(token.calls("C_OpenSession"), opened + 1, "{loss}");
            assert_eq!(token.calls("C_CloseSession"), closed, "{loss}");
        }
        let closed = token.calls("C_CloseSession");
        drop(signer);
        assert_eq!(token.calls("C_CloseSession"), closed + 4);
    }

    /// The token gives fewer sessions than it says: one that is in use is waited for.
    fn a_session_that_the_token_does_not_give_is_waited_for(token) {
        let signer = token.signer(sessions(3));
        sign(&signer, 0).unwrap();
        let (signed, opened) = (token.calls("C_Sign"), token.calls("C_OpenSession"));
        token.faults("C_OpenSession CKR_SESSION_COUNT\nC_Sign hang");
        std::thread::scope(|scope| {
            let signing = [1, 2, 3].map(|fill| {
                let signer = &signer;
                scope.spawn(move || sign(signer, fill))
            });
            token.wait_for_call("C_Sign", signed);
            token.wait_for_call("C_OpenSession", opened + 1);
            token.faults("C_OpenSession CKR_SESSION_COUNT");
            for signature in signing {
                signature.join().unwrap().unwrap();
            }
        });
        assert_eq!(signer.status().failures, 0);
    }

    /// Where there is none of ours to wait for, it is told at once, and the next signature is made.
    fn a_token_without_sessions_says_so(token) {
        let signer = token.signer(sessions(2));
        token.faults("C_SignInit CKR_USER_NOT_LOGGED_IN 1\nC_OpenSession CKR_SESSION_COUNT");
        let error = sign(&signer, 1).unwrap_err();
        assert!(matches!(error, HsmError::NoSession { .. }), "{error}");
        token.no_faults();
        sign(&signer, 2).unwrap();
    }

    /// The module says that it signs, and what comes out is no signature of this key: as with a handle that came to
    /// mean another key.
    fn a_wrong_signature_is_not_given_out(token) {
        let signer = token.signer(sessions(1));
        token.faults("C_Sign corrupt 1");
        sign(&signer, 1).unwrap();
        token.faults("C_Sign corrupt");
        let error = sign(&signer, 1).unwrap_err();
        assert!(matches!(error, HsmError::BadSignature { .. }), "{error}");
        assert!(matches!(signer.status().state, SignerState::Lost { .. }));
        token.no_faults();
        sign(&signer, 1).unwrap();
    }

    /// After an error an operation may still be active in the session.
    fn a_session_in_which_something_failed_is_not_used_again(token) {
        let signer = token.signer(sessions(1));
        // Not lost, so not tried again: and C_SignInit has begun something.
        token.faults("C_Sign CKR_DATA_INVALID 1");
        let (opened, closed) = (token.calls("C_OpenSession"), token.calls("C_CloseSession"));
        assert!(matches!(sign(&signer, 1), Err(HsmError::Refused { .. })));
        assert_eq!(token.calls("C_CloseSession"), closed + 1);
        sign(&signer, 1).unwrap();
        assert_eq!(token.calls("C_OpenSession"), opened + 1);
    }

    fn sessions_are_kept_and_closed_at_the_end(token) {
        let signer = token.signer(sessions(1));
        sign(&signer, 0).unwrap();
        let opened = token.calls("C_OpenSession");
        for fill in 0..5 {
            sign(&signer, fill).unwrap();
        }
        assert_eq!(token.calls("C_OpenSession"), opened);
        drop(signer);
        assert_eq!(token.calls("C_OpenSession"), token.calls("C_CloseSession"));
    }

    fn many_threads_share_a_few_sessions(token) {
        let signer = token.signer(sessions(3));
        let opened = token.calls("C_OpenSession");
        std::thread::scope(|scope| {
            for fill in 0..8 {
                let signer = &signer;
                scope.spawn(move || (0..5).for_each(|_| sign(signer, fill).unwrap()));
            }
        });
        assert!(token.calls("C_OpenSession") <= opened + 3);
        assert_eq!(signer.status().signatures, 40);
    }

    /// One session is lost, or all, while other threads are signing: nobody notices. One loss a round, so that whoever
    /// meets it has a second try that nothing disturbs.
    fn a_loss_disturbs_nobody_else(token) {
        const THREADS: usize = 4;
        let signer = token.signer(sessions(THREADS));
        let round = Barrier::new(THREADS + 1);
        std::thread::scope(|scope| {
            for fill in 0..THREADS {
                let (signer, round) = (&signer, &round);
                scope.spawn(move || {
                    for loss in LOSSES {
                        round.wait();
                        sign(signer, fill as u8).unwrap_or_else(|error| panic!("{loss}: {error}"));
                        round.wait();
                    }
                });
            }
            for loss in LOSSES {
                token.faults(&format!("{loss} 1"));
                round.wait();
                round.wait();
            }
        });
        assert_eq!(signer.status().failures, 0);
    }

    /// A key that is destroyed while it is in use is missed, by name.
    fn a_key_that_is_gone_is_named(token) {
        let signer = token.signer(sessions(1));
        let uri = signer.key().uri();
        Token::open(&uri, Some(pin())).unwrap().delete(&signer.key().id).unwrap();
        let error = sign(&signer, 1).unwrap_err();
        assert!(matches!(&error, HsmError::NoKey { uri: missed, .. } if *missed == uri.to_string()), "{error}");
        let error = Pkcs11Signer::open(&uri, pin()).unwrap_err();
        assert!(matches!(error, HsmError::NoKey { .. }), "{error}");
        let left = Others::of(&TestToken::module(), LABEL).session().find_objects(&[Attribute::Private(true)]).unwrap();
        assert_eq!(left, []);
    }
}
