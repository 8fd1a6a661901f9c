//! PINs: tried once, and never shown.

use std::time::Instant;

use b4ae_hsm::{HsmError, Pin, PinTries, Pkcs11Signer, Pkcs11Uri, SignerState, Token, list_tokens};

use cryptoki::types::AuthPin;

use crate::support::{LABEL, Others, PIN, TestToken, pin, sessions, sign, token_tests};

fn wrong() -> Pin {
    Pin::try_from("not the PIN".to_owned()).unwrap()
}

/// As its owner does with another program.
fn change(old: &str, new: &str) {
    let session = Others::of(&TestToken::module(), LABEL).session_with(old);
    session.set_pin(&AuthPin::new(old.into()), &AuthPin::new(new.into())).unwrap();
    session.logout().unwrap();
}

/// What a module may return for a wrong PIN that it counts.
const UNCLEAR: [&str; 5] =
    ["CKR_FUNCTION_FAILED", "CKR_GENERAL_ERROR", "CKR_DEVICE_ERROR", "CKR_FUNCTION_CANCELED", "0x80000001"];

token_tests! {
    fn a_wrong_pin_is_tried_once(token) {
        let uri = token.set_up();
        let before = token.calls("C_Login");
        let error = Token::open(&uri, Some(wrong())).unwrap_err();
        assert!(matches!(error, HsmError::PinIncorrect { .. }), "{error}");
        assert!(error.to_string().contains(LABEL) && error.to_string().contains("tried once only"), "{error}");
        assert_eq!(token.calls("C_Login"), before + 1);

        let error = Pkcs11Signer::open(&uri, wrong()).unwrap_err();
        assert!(matches!(error, HsmError::PinIncorrect { .. }), "{error}");
        assert_eq!(token.calls("C_Login"), before + 2);
        assert!(!format!("{error} {error:?} {}", error.advice()).contains("not the PIN"));
    }

    /// The PIN was changed while the signer was at work: however many signatures are asked for, it costs one try.
    fn a_pin_that_is_refused_later_is_not_tried_by_every_signature(token) {
        let signer = token.signer(sessions(4));
        change(PIN, "another PIN");
        let before = token.calls("C_Login");
        std::thread::scope(|scope| {
            for fill in 0..8 {
                let signer = &signer;
                scope.spawn(move || {
                    for _ in 0..5 {
                        let error = sign(signer, fill).unwrap_err();
                        assert!(matches!(error, HsmError::PinIncorrect { .. }), "{error}");
                    }
                });
            }
        });
        let refused = |signer: &Pkcs11Signer| {
            matches!(signer.status().state, SignerState::Lost { error: HsmError::PinIncorrect { .. }, .. })
        };
        assert!(refused(&signer));
        assert_eq!(token.calls("C_Login"), before + 1);

        // Another PIN is tried once, too.
        signer.retry_pin(wrong());
        for _ in 0..3 {
            assert!(matches!(signer.check(), Err(HsmError::PinIncorrect { .. })));
        }
        assert!(refused(&signer));
        assert_eq!(token.calls("C_Login"), before + 2);
        signer.retry_pin(Pin::try_from("another PIN".to_owned()).unwrap());
        sign(&signer, 1).unwrap();
        assert_eq!(signer.status().state, SignerState::Ready);
    }

    /// The login fails without a word about the PIN: however many signatures are asked for, the pauses between tries grow
    /// from a second on.
    fn a_login_that_fails_for_no_clear_reason_is_repeated_seldom(token) {
        let uri = token.signer(sessions(1)).key().uri();
        for code in UNCLEAR {
            token.no_faults();
            let signer = Pkcs11Signer::open_with(&uri, pin(), sessions(4)).unwrap();
            token.faults(&format!("C_SignInit CKR_USER_NOT_LOGGED_IN 1\nC_Login {code}"));
            let before = token.calls("C_Login");
            #[expect(clippy::disallowed_methods, reason = "pauses are real time")]
            let began = Instant::now();
            let fails = |fill| {
                let error = sign(&signer, fill).unwrap_err();
                assert!(matches!(error, HsmError::LoginFailed { .. }), "{error}");
                assert!(error.to_string().contains(code), "{error}");
            };
            // It closes the only session, which ends the login.
            fails(0);
            std::thread::scope(|scope| {
                for fill in 1..5 {
                    scope.spawn(move || (0..5).for_each(|_| fails(fill)));
                }
            });
            let tries = token.calls("C_Login") - before;
            assert!(tries >= 1, "{code}");
            let least = (1 << (tries - 1)) - 1;
            assert!(began.elapsed().as_secs() >= least, "{code}: {tries} tries in {:?}", began.elapsed());

            token.no_faults();
            signer.retry_pin(pin());
            sign(&signer, 1).unwrap_or_else(|error| panic!("after {code}: {error}"));
        }
    }

    /// Without anybody's doing.
    fn a_login_that_failed_is_repeated_after_a_pause(token) {
        let signer = token.signer(sessions(1));
        token.faults("C_SignInit CKR_USER_NOT_LOGGED_IN 1\nC_Login CKR_DEVICE_ERROR 1");
        let before = token.calls("C_Login");
        let mut failures = 0;
        while let Err(error) = sign(&signer, 1) {
            assert!(matches!(error, HsmError::LoginFailed { .. }), "{error}");
            failures += 1;
        }
        assert!(failures >= 1);
        assert_eq!(token.calls("C_Login"), before + 2);
        assert_eq!(signer.status().state, SignerState::Ready);
    }

    /// The PIN was not looked at: it may be tried once more.
    fn a_login_is_repeated_where_the_token_was_lost(token) {
        let signer = token.signer(sessions(1));
        for code in [
            "CKR_SESSION_HANDLE_INVALID",
            "CKR_SESSION_CLOSED",
            "CKR_DEVICE_REMOVED",
            "CKR_TOKEN_NOT_PRESENT",
            "CKR_CRYPTOKI_NOT_INITIALIZED",
        ] {
            // No session is left, and nobody is logged in.
            token.faults("C_SignInit CKR_KEY_HANDLE_INVALID");
            sign(&signer, 1).unwrap_err();
            Others::of(&TestToken::module(), LABEL).session().logout().unwrap();
            token.faults(&format!("C_Login {code} 1"));
            let before = token.calls("C_Login");
            sign(&signer, 1).unwrap_or_else(|error| panic!("{code}: {error}"));
            assert_eq!(token.calls("C_Login"), before + 2, "{code}");
        }
    }

    /// A login with the old PIN is under way when the new one is given, and is refused afterwards.
    fn a_new_pin_is_not_held_back_by_the_old_one(token) {
        let signer = token.signer(sessions(1));
        change(PIN, "another PIN");
        let before = token.calls("C_Login");
        token.faults("C_Login hang");
        std::thread::scope(|scope| {
            let old = scope.spawn(|| sign(&signer, 1));
            token.wait_for_call("C_Login", before);
            signer.retry_pin(Pin::try_from("another PIN".to_owned()).unwrap());
            token.no_faults();
            assert!(matches!(old.join().unwrap(), Err(HsmError::PinIncorrect { .. })));
        });
        sign(&signer, 2).unwrap();
    }

    fn a_locked_pin_is_called_locked_and_not_tried(token) {
        let signer = token.signer(sessions(1));
        let uri = signer.key().uri();
        token.faults("C_SignInit CKR_USER_NOT_LOGGED_IN\nC_Login CKR_PIN_LOCKED");
        let before = token.calls("C_Login");
        for _ in 0..3 {
            let error = sign(&signer, 1).unwrap_err();
            assert!(matches!(error, HsmError::PinLocked { .. }), "{error}");
        }
        assert_eq!(token.calls("C_Login"), before + 1);
        drop(signer);
        token.no_faults();

        // In earnest: until the token says that it is locked.
        loop {
            match Token::open(&uri, Some(wrong())) {
                Err(HsmError::PinIncorrect { .. }) => {}
                Err(HsmError::PinLocked { .. }) => break,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(list_tokens(&uri).unwrap()[0].pin_tries, PinTries::Locked);
        let before = token.calls("C_Login");
        let error = Pkcs11Signer::open(&uri, pin()).unwrap_err();
        assert!(matches!(error, HsmError::PinLocked { .. }), "{error}");
        assert_eq!(token.calls("C_Login"), before);
    }

    /// A service that is started again and again with the wrong PIN would lock the token.
    fn a_signer_leaves_the_last_try_to_a_person(token) {
        let uri = token.signer(sessions(1)).key().uri();
        for _ in 0..100 {
            match list_tokens(&uri).unwrap()[0].pin_tries {
                PinTries::Unspent | PinTries::SomeSpent => {}
                PinTries::FinalTry => break,
                PinTries::Locked => panic!("the token did not say that it was the last one"),
            }
            Pkcs11Signer::open(&uri, wrong()).unwrap_err();
        }
        let before = token.calls("C_Login");
        let error = Pkcs11Signer::open(&uri, wrong()).unwrap_err();
        assert!(matches!(error, HsmError::PinFinalTry { .. }), "{error}");
        assert_eq!(token.calls("C_Login"), before);
        // While somebody is logged in, no PIN is needed.
        let person = Token::open(&uri, Some(pin())).unwrap();
        sign(&Pkcs11Signer::open(&uri, wrong()).unwrap(), 1).unwrap();
        drop(person);
        assert_eq!(list_tokens(&uri).unwrap()[0].pin_tries, PinTries::Unspent);
    }

    fn a_pin_comes_from_the_file_that_the_uri_names(token) {
        let uri = token.set_up();
        let missing = Token::open(&uri, None).unwrap_err();
        assert_eq!(missing, HsmError::PinMissing);

        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("the pin & %");
        std::fs::write(&file, format!("{PIN}\n")).unwrap();
        // Once for the file's URI, and that once more as an attribute.
        let query = file.to_str().unwrap().replace('%', "%2525").replace(' ', "%2520").replace('&', "%26");
        let text = uri.to_string().replace('?', &format!("?pin-source=file:{query}&"));
        let with_source: Pkcs11Uri = text.parse().unwrap();
        assert_eq!(with_source.pin_source(), Some(&*file));
        Token::open(&with_source, None).unwrap();

        std::fs::remove_file(&file).unwrap();
        assert!(matches!(Token::open(&with_source, None), Err(HsmError::PinFile { path, .. }) if path == file));
    }

    fn a_token_without_a_user_pin_is_not_initialised(_token) {
        let module = TestToken::module();
        crate::support::set_up_without_pin(&module, LABEL);
        let error = Token::open(&crate::support::uri(&module, LABEL), Some(pin())).unwrap_err();
        assert!(matches!(error, HsmError::TokenNotInitialised { .. }), "{error}");
    }

    /// Login is one for the process: nobody's PIN is looked at while somebody is logged in.
    fn who_is_logged_in_already_is_not_asked_again(token) {
        let uri = token.set_up();
        let others = Others::of(&TestToken::module(), LABEL);
        let _session = others.session();
        let before = token.calls("C_Login");
        Token::open(&uri, Some(pin())).unwrap().generate("b4ae", None).unwrap();
        Pkcs11Signer::open(&uri, pin()).unwrap();
        // Only the token's own does not look first.
        assert_eq!(token.calls("C_Login"), before + 1);
    }
}
