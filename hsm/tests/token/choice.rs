//! Which module, token and key a URI means.

use b4ae_hsm::{HsmError, Pkcs11Signer, Pkcs11Uri, Token, list_tokens};

use crate::support::{LABEL, TestToken, pin, sessions, set_up, sign, token_tests, uri};

fn named(path: &str) -> Pkcs11Uri {
    path.parse::<Pkcs11Uri>().unwrap().with_module_path(&TestToken::module()).unwrap()
}

token_tests! {
    fn tokens_are_listed_without_a_login(token) {
        set_up(&TestToken::module(), "one");
        set_up(&TestToken::module(), "two");
        let all = list_tokens(&named("pkcs11:")).unwrap();
        let initialised: Vec<_> = all.iter().filter(|token| token.initialised).collect();
        assert_eq!(initialised.len(), 2);
        for (found, label) in initialised.iter().zip(["one", "two"]) {
            assert_eq!(found.label, label);
            assert_eq!(found.manufacturer, "Kryoptic Project");
            assert!(found.rng && found.user_pin_set && !found.pin_pad && !found.write_protected);
            assert_eq!(found.module.path, TestToken::module());
            assert_eq!(found.module.cryptoki, (3, 2));
            assert_eq!(list_tokens(&found.uri).unwrap(), [(*found).clone()]);
        }
        assert_eq!(token.calls("C_Login"), 2, "to set their PINs");
        for (path, count) in [
            ("pkcs11:token=one", 1),
            ("pkcs11:token=on", 0),
            ("pkcs11:token=one;model=v1", 1),
            ("pkcs11:token=one;model=v2", 0),
            ("pkcs11:token=one;serial=0", 0),
            ("pkcs11:token=one;manufacturer=Kryoptic%20Project", 1),
            ("pkcs11:token=one;manufacturer=Kryoptic", 0),
            ("pkcs11:token=two;slot-id=1", 1),
            ("pkcs11:token=two;slot-id=0", 0),
            ("pkcs11:token=two;library-version=0.1", 0),
            ("pkcs11:token=two;slot-description=nowhere", 0),
            ("pkcs11:token=two;slot-manufacturer=nobody", 0),
            ("pkcs11:token=two;library-manufacturer=nobody", 0),
            ("pkcs11:token=two;library-description=nothing", 0),
        ] {
            assert_eq!(list_tokens(&named(path)).unwrap().len(), count, "{path}");
        }
    }

    fn several_tokens_of_one_name_are_told_apart_by_serial_numbers(_token) {
        set_up(&TestToken::module(), "twin");
        let uri = set_up(&TestToken::module(), "twin");
        let error = Token::open(&uri, Some(pin())).unwrap_err();
        let HsmError::SeveralTokens { tokens, .. } = &error else { panic!("{error}") };
        assert_eq!(tokens.len(), 2);
        for twin in tokens {
            let twin: Pkcs11Uri = twin.parse().unwrap();
            assert_eq!(Token::open(&twin, Some(pin())).unwrap().info().uri, twin);
        }
        assert!(error.advice().contains("serial="));
    }

    fn a_token_that_is_not_there_is_missed_by_name(token) {
        token.set_up();
        let error = Token::open(&named("pkcs11:token=elsewhere"), Some(pin())).unwrap_err();
        assert!(matches!(error, HsmError::NoToken { .. }));
        assert!(error.to_string().contains("token=elsewhere"), "{error}");
    }

    fn an_empty_slot_is_no_token_that_was_meant(token) {
        token.set_up();
        // One token is initialised, two slots of the configuration are not.
        assert_eq!(Token::open(&named("pkcs11:"), Some(pin())).unwrap().info().label, LABEL);
        let error = Token::open(&named("pkcs11:slot-id=2"), Some(pin())).unwrap_err();
        assert!(matches!(error, HsmError::TokenNotInitialised { .. }), "{error}");
    }

    fn several_keys_are_told_apart(token) {
        let uri = token.set_up();
        let opened = Token::open(&uri, Some(pin())).unwrap();
        let error = Pkcs11Signer::open(&uri, pin()).unwrap_err();
        assert!(matches!(error, HsmError::NoKey { .. }), "{error}");
        opened.generate("one", Some(b"1")).unwrap();
        assert_eq!(Pkcs11Signer::open(&uri, pin()).unwrap().key().label, "one");
        opened.generate("two", Some(b"2")).unwrap();
        let error = Pkcs11Signer::open(&uri, pin()).unwrap_err();
        assert!(matches!(error, HsmError::SeveralKeys { count: 2, .. }), "{error}");
        for (path, label) in [("object=one", "one"), ("id=%32", "two"), ("object=two;id=%32;type=private", "two")] {
            let key = named(&format!("pkcs11:token={LABEL};{path}"));
            assert_eq!(Pkcs11Signer::open(&key, pin()).unwrap().key().label, label);
        }
        for path in ["object=one;id=%32", "object=on", "id=%31%32"] {
            let key = named(&format!("pkcs11:token={LABEL};{path}"));
            assert!(matches!(Pkcs11Signer::open(&key, pin()), Err(HsmError::NoKey { .. })), "{path}");
        }
        let public = named(&format!("pkcs11:token={LABEL};object=one;type=public"));
        assert!(matches!(Pkcs11Signer::open(&public, pin()), Err(HsmError::NotAPrivateKey { .. })));
    }

    fn what_is_no_module_is_not_loaded(_token) {
        assert_eq!(list_tokens(&"pkcs11:".parse().unwrap()), Err(HsmError::NoModule));
        let directory = tempfile::tempdir().unwrap();
        let missing = directory.path().join("missing.so");
        let text = directory.path().join("text.so");
        std::fs::write(&text, "no library").unwrap();
        for path in [missing, text, std::env::current_exe().unwrap()] {
            let error = list_tokens(&uri(&path, LABEL)).unwrap_err();
            assert!(matches!(&error, HsmError::Module { path: named, .. } if *named == path), "{error}");
            assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
        }
    }

    /// A module is one to the process, by whatever path it is reached: its end would be everybody's.
    fn a_module_is_never_finalised(token) {
        let signer = token.signer(sessions(1));
        let uri = signer.key().uri();
        sign(&signer, 1).unwrap();
        drop(signer);
        let directory = tempfile::tempdir().unwrap();
        let link = directory.path().join("link.so");
        std::os::unix::fs::symlink(TestToken::module(), &link).unwrap();
        let through = uri.clone().with_module_path(&link).unwrap();
        drop(Token::open(&through, Some(pin())).unwrap());
        assert_eq!(list_tokens(&through).unwrap()[0].serial, list_tokens(&uri).unwrap()[0].serial);
        assert_eq!(token.calls("C_Finalize"), 0);
    }

    fn a_module_that_cannot_start_says_so(token) {
        token.faults("C_Initialize CKR_CANT_LOCK");
        let error = list_tokens(&named("pkcs11:")).unwrap_err();
        assert!(matches!(error, HsmError::ModuleNotInitialised { .. }));
        assert!(error.to_string().contains("C_Initialize returned CKR_CANT_LOCK"), "{error}");
        token.no_faults();
        list_tokens(&named("pkcs11:")).unwrap();
    }
}
