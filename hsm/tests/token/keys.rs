//! Keys: made, found, described, used and destroyed.

use b4ae_core::Signer;
use b4ae_hsm::{HsmError, KeyRefusal, Pkcs11Signer, Pkcs11Uri, Token};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, MlDsaParameterSetType, ObjectClass, ObjectHandle};

use crate::support::{LABEL, Others, TestToken, pin, token_tests, verifies};

/// Private and public ones, those of sessions too.
fn keys_on_token() -> Vec<ObjectHandle> {
    let session = Others::of(&TestToken::module(), LABEL).session();
    let of = |class| session.find_objects(&[Attribute::Class(class)]).unwrap();
    [of(ObjectClass::PRIVATE_KEY), of(ObjectClass::PUBLIC_KEY)].concat()
}

token_tests! {
    fn a_key_made_in_the_token_signs_there(token) {
        let uri = token.set_up();
        let key = Token::open(&uri, Some(pin())).unwrap().generate("b4ae", None).unwrap();

        let signer = Pkcs11Signer::open(&key.uri(), pin()).unwrap();
        assert_eq!(signer.public_key(), &*key.public_key);
        let (message, mut signature) = ([7; 64], [0; 4627]);
        signer.sign(&message, &[0; 32], &mut signature).unwrap();
        assert!(verifies(&key.public_key, &message, &signature));
        assert!(!verifies(&key.public_key, &[8; 64], &signature));
        signer.check().unwrap();
        assert_eq!(signer.status().signatures, 1);
    }

    fn a_key_that_is_made_is_private_sensitive_and_fixed(token) {
        let key = Token::open(&token.set_up(), Some(pin())).unwrap().generate("b4ae", Some(b"\x01\xff")).unwrap();
        assert_eq!((key.label.as_str(), &key.id[..]), ("b4ae", &b"\x01\xff"[..]));
        assert!(key.private && key.stored && key.local);
        assert!(key.sensitive && key.always_sensitive);
        assert!(!key.extractable && key.never_extractable);
        assert!(!key.modifiable && !key.copyable && !key.always_authenticate);
    }

    /// Its URI names the key that was made and no other, and what was made is what is listed.
    fn keys_are_listed_as_they_were_made(token) {
        let uri = token.set_up();
        let opened = Token::open(&uri, Some(pin())).unwrap();
        let first = opened.generate("one", None).unwrap();
        let second = opened.generate("two; & %", Some(b"2")).unwrap();
        let mut listed = opened.keys().unwrap();
        listed.sort_by(|a, b| a.label.cmp(&b.label));
        assert_eq!(listed, [first.clone(), second.clone()]);
        for key in [first, second] {
            assert_eq!(Token::open(&key.uri(), Some(pin())).unwrap().keys().unwrap(), std::slice::from_ref(&key));
            assert_eq!(key.uri().to_string().parse::<Pkcs11Uri>().unwrap(), key.uri());
            assert_eq!(Pkcs11Signer::open(&key.uri(), pin()).unwrap().public_key(), &*key.public_key);
        }
    }

    fn a_label_or_id_is_not_given_twice(token) {
        let opened = Token::open(&token.set_up(), Some(pin())).unwrap();
        opened.generate("b4ae", Some(b"1")).unwrap();
        for (label, id, what) in [("b4ae", &b"2"[..], "label"), ("other", b"1", "id")] {
            let error = opened.generate(label, Some(id)).unwrap_err();
            assert!(matches!(&error, HsmError::KeyExists { what: taken, .. } if taken.starts_with(what)), "{error}");
        }
        assert_eq!(opened.keys().unwrap().len(), 1);
    }

    /// Both look before either has made its key.
    fn a_label_or_id_is_not_given_twice_at_the_same_time(token) {
        let uri = token.set_up();
        let opened = Token::open(&uri, Some(pin())).unwrap();
        for (label, id, what) in [("b4ae", &b"2"[..], "label"), ("other", b"1", "id")] {
            let before = token.calls("C_GenerateKeyPair");
            token.faults("C_GenerateKeyPair hang 1");
            let theirs = std::thread::scope(|scope| {
                let slower = scope.spawn(|| {
                    let opened = Token::open(&uri, Some(pin())).unwrap();
                    opened.generate("b4ae", Some(b"1")).unwrap_err()
                });
                token.wait_for_call("C_GenerateKeyPair", before);
                let theirs = opened.generate(label, Some(id)).unwrap();
                token.no_faults();
                let error = slower.join().unwrap();
                assert!(matches!(&error, HsmError::KeyExists { what: it, .. } if it.starts_with(what)), "{error}");
                theirs
            });
            assert_eq!(keys_on_token().len(), 2, "their pair alone is left");
            opened.delete(&theirs.id).unwrap();
        }
    }

    fn labels_and_ids_without_sense_are_refused(token) {
        let opened = Token::open(&token.set_up(), Some(pin())).unwrap();
        let long = "x".repeat(256);
        for (label, id) in
            [("", None), (&*long, None), ("a\0b", None), ("a", Some(&b""[..])), ("a", Some(long.as_bytes()))]
        {
            let error = opened.generate(label, id).unwrap_err();
            assert!(matches!(error, HsmError::KeyName { .. }), "{error}");
        }
    }

    fn deleting_takes_both_keys_and_no_other(token) {
        let opened = Token::open(&token.set_up(), Some(pin())).unwrap();
        opened.generate("one", Some(b"1")).unwrap();
        let other = opened.generate("two", Some(b"12")).unwrap();
        opened.delete(b"1").unwrap();
        assert_eq!(opened.keys().unwrap(), [other]);
        let others = Others::of(&TestToken::module(), LABEL);
        let session = others.session();
        assert_eq!(session.find_objects(&[Attribute::Id(b"1".to_vec())]).unwrap(), []);
        assert_eq!(session.find_objects(&[Attribute::Id(b"12".to_vec())]).unwrap().len(), 2);
        for id in [&b"1"[..], b"nobody's", b""] {
            assert!(matches!(opened.delete(id), Err(HsmError::NoKey { .. })));
        }
    }

    /// A key that the token made otherwise than it was told is not left behind.
    fn a_key_that_does_not_work_is_destroyed_again(token) {
        let opened = Token::open(&token.set_up(), Some(pin())).unwrap();
        for (fault, refused) in [
            ("C_Sign CKR_FUNCTION_FAILED", None),
            ("C_Sign corrupt", Some(KeyRefusal::PublicKeyMismatch)),
            // A token that tells nothing about it.
            ("C_GetAttributeValue CKR_ATTRIBUTE_SENSITIVE", Some(KeyRefusal::NotMlDsa87)),
        ] {
            token.faults(fault);
            let error = opened.generate("b4ae", None).unwrap_err();
            match refused {
                Some(refused) => {
                    assert!(matches!(error, HsmError::KeyRefused { reason, .. } if reason == refused), "{error}");
                }
                None => assert!(error.to_string().contains("C_Sign returned CKR_FUNCTION_FAILED"), "{error}"),
            }
            token.no_faults();
            assert_eq!(keys_on_token(), [], "after {fault}");
        }
        opened.generate("b4ae", None).unwrap();
    }

    fn a_full_token_is_called_full(token) {
        let opened = Token::open(&token.set_up(), Some(pin())).unwrap();
        token.faults("C_GenerateKeyPair CKR_DEVICE_MEMORY");
        let error = opened.generate("b4ae", None).unwrap_err();
        assert!(matches!(error, HsmError::TokenFull { .. }));
        assert!(error.to_string().contains("is full"), "{error}");
    }

    fn an_attribute_that_the_token_refuses_is_named(token) {
        let opened = Token::open(&token.set_up(), Some(pin())).unwrap();
        token.faults("C_GenerateKeyPair CKR_TEMPLATE_INCONSISTENT");
        let error = opened.generate("b4ae", None).unwrap_err();
        assert!(matches!(error, HsmError::AttributeRefused { .. }));
        assert!(error.to_string().contains("C_GenerateKeyPair returned CKR_TEMPLATE_INCONSISTENT"), "{error}");
        // Without what not every token has, it works.
        token.faults("C_GenerateKeyPair CKR_TEMPLATE_INCONSISTENT 2");
        let key = opened.generate("b4ae", None).unwrap();
        assert!(key.sensitive && !key.extractable && key.modifiable);
    }

    fn what_a_token_can_do_is_tried_out(token) {
        let opened = Token::open(&token.set_up(), Some(pin())).unwrap();
        let can = opened.capabilities().unwrap();
        let names: Vec<&str> = can.mechanisms.iter().map(|mechanism| mechanism.name.as_str()).collect();
        assert_eq!(names, ["CKM_ML_DSA_KEY_PAIR_GEN", "CKM_ML_DSA", "CKM_HASH_ML_DSA"]);
        assert!(can.mechanisms[0].generate_key_pair && can.mechanisms[1].sign && can.mechanisms[1].verify);
        assert_eq!((can.mechanisms[1].min_key_size, can.mechanisms[1].max_key_size), (1312, 2592));
        assert_eq!([can.signs, can.contexts, can.hedged, can.deterministic], [Some(true); 4]);
        assert!(can.rng);
        assert!(can.signature_time.is_some() && can.refused.is_none());
        assert_eq!(keys_on_token(), [], "the trial leaves nothing behind");
    }

    /// What a token does not do is told, with its reason, and what could not be tried is not called impossible.
    fn what_a_token_cannot_do_has_a_reason(token) {
        let opened = Token::open(&token.set_up(), Some(pin())).unwrap();
        for (fault, signs) in [
            ("C_SignInit CKR_MECHANISM_PARAM_INVALID", Some(false)),
            ("C_Sign corrupt", Some(false)),
            ("C_GenerateKeyPair CKR_SESSION_READ_ONLY", None),
            ("C_OpenSession CKR_SESSION_COUNT", None),
        ] {
            token.faults(fault);
            let can = opened.capabilities().unwrap();
            assert_eq!([can.signs, can.contexts, can.hedged, can.deterministic], [signs; 4], "{fault}");
            let why = can.refused.unwrap();
            if fault.ends_with("corrupt") {
                assert!(matches!(why, HsmError::BadSignature { .. }), "{why}");
            } else {
                assert!(why.to_string().contains(&fault.replace(' ', " returned ")), "{fault}: {why}");
                assert_eq!(can.signature_time, None);
            }
        }
    }

    /// The one that is logged in, and one more.
    fn two_sessions_are_enough_to_try_a_token_out(token) {
        let opened = Token::open(&token.set_up(), Some(pin())).unwrap();
        let before = token.log().lines().count();
        opened.capabilities().unwrap();
        let (mut open, mut opened_in_all) = (1, 0);
        for call in token.log().lines().skip(before) {
            match call {
                "C_OpenSession" => (open, opened_in_all) = (open + 1, opened_in_all + 1),
                "C_CloseSession" => open -= 1,
                _ => {}
            }
            assert!(open <= 2);
        }
        // One for each way to sign, and one for all signatures whose time is taken: opening is not in it.
        assert_eq!((open, opened_in_all), (1, 5));
    }

    /// A token whose policy refuses an identity's key would else make the one for the trial.
    fn the_key_of_the_trial_is_as_strict_as_a_real_one(token) {
        let opened = Token::open(&token.set_up(), Some(pin())).unwrap();
        let before = token.calls("C_SignInit");
        token.faults("C_SignInit hang 1");
        std::thread::scope(|scope| {
            let trial = scope.spawn(move || opened.capabilities().unwrap());
            token.wait_for_call("C_SignInit", before);
            let session = Others::of(&TestToken::module(), LABEL).session();
            let keys = session.find_objects(&[Attribute::Class(ObjectClass::PRIVATE_KEY)]).unwrap();
            let strict = [
                Attribute::Token(false),
                Attribute::Private(true),
                Attribute::Sensitive(true),
                Attribute::Extractable(false),
                Attribute::Modifiable(false),
                Attribute::Copyable(false),
            ];
            let types = strict.each_ref().map(Attribute::attribute_type);
            let found: Vec<_> = keys.iter().map(|key| session.get_attributes(*key, &types).unwrap()).collect();
            token.no_faults();
            assert_eq!(trial.join().unwrap().signs, Some(true));
            assert_eq!(found, [strict]);
        });
    }

    /// Keys that somebody else put there: each is refused for what is wrong with it.
    fn a_key_that_could_have_left_the_token_is_refused(token) {
        let uri = token.set_up();
        let others = Others::of(&TestToken::module(), LABEL);
        let session = others.session();
        let set = MlDsaParameterSetType::ML_DSA_87;
        let make = |label: &str, set: MlDsaParameterSetType, kept: [Attribute; 2]| {
            let public = [Attribute::Token(true), Attribute::Verify(true), Attribute::ParameterSet(set.into())];
            let private = [Attribute::Token(true), Attribute::Private(true), Attribute::Sign(true)];
            let name = [Attribute::Label(label.into()), Attribute::Id(label.into())];
            let (public, private) = ([&public[..], &name].concat(), [&private[..], &name, &kept].concat());
            session.generate_key_pair(&Mechanism::MlDsaKeyPairGen, &public, &private).unwrap().0
        };
        let good = [Attribute::Sensitive(true), Attribute::Extractable(false)];
        make("extractable", set, [Attribute::Sensitive(true), Attribute::Extractable(true)]);
        make("readable", set, [Attribute::Sensitive(false), Attribute::Extractable(false)]);
        make("small", MlDsaParameterSetType::ML_DSA_65, good.clone());
        session.destroy_object(make("orphan", set, good.clone())).unwrap();
        session.destroy_object(make("stranger", set, good.clone())).unwrap();
        // The public key of another, under this one's id.
        let value = session.get_attributes(make("other", set, good), &[AttributeType::Value]).unwrap();
        let public_key = [
            Attribute::Class(ObjectClass::PUBLIC_KEY),
            Attribute::KeyType(KeyType::ML_DSA),
            Attribute::ParameterSet(set.into()),
            Attribute::Token(true),
            Attribute::Verify(true),
            Attribute::Id(b"stranger".to_vec()),
            value[0].clone(),
        ];
        session.create_object(&public_key).unwrap();

        for (label, expected) in [
            ("extractable", Some(KeyRefusal::Extractable)),
            ("readable", Some(KeyRefusal::NotSensitive)),
            ("small", Some(KeyRefusal::NotMlDsa87)),
            ("stranger", Some(KeyRefusal::PublicKeyMismatch)),
            // This token tells the public key by the private one.
            ("orphan", None),
            ("other", None),
        ] {
            let key: Pkcs11Uri = uri.to_string().replace('?', &format!(";object={label}?")).parse().unwrap();
            match (Pkcs11Signer::open(&key, pin()), expected) {
                (Err(HsmError::KeyRefused { reason, key }), Some(expected)) => {
                    assert_eq!(reason, expected);
                    assert!(key.contains(label));
                }
                (Ok(_), None) => {}
                (result, _) => panic!("{label}: {result:?}"),
            }
        }
    }
}
