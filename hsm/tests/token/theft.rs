//! What somebody who has the PIN and the module cannot do: take the key out of the token, or have it weakened.

use b4ae_hsm::{Pkcs11Signer, Token};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeInfo, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;

use crate::support::{LABEL, Others, TestToken, pin, sign, token_tests};

/// A thief, logged in, and the private key.
fn thief(token: &TestToken) -> (Session, ObjectHandle, Pkcs11Signer) {
    let key = Token::open(&token.set_up(), Some(pin())).unwrap().generate("b4ae", Some(b"1")).unwrap();
    let signer = Pkcs11Signer::open(&key.uri(), pin()).unwrap();
    let session = Others::of(&TestToken::module(), LABEL).session();
    let template = [Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::KeyType(KeyType::ML_DSA)];
    let [key] = session.find_objects(&template).unwrap()[..] else { panic!("one key") };
    (session, key, signer)
}

fn refused<T: std::fmt::Debug>(result: Result<T, Error>) -> RvError {
    match result {
        Err(Error::Pkcs11(error, _)) => error,
        other => panic!("not refused: {other:?}"),
    }
}

token_tests! {
    fn a_private_key_cannot_be_read(token) {
        let (session, key, _signer) = thief(token);
        for secret in [AttributeType::Value, AttributeType::Seed] {
            assert_eq!(session.get_attributes(key, &[secret]).unwrap(), []);
            assert!(matches!(session.get_attribute_info(key, &[secret]).unwrap()[..], [AttributeInfo::Sensitive]));
        }
    }

    fn a_private_key_cannot_be_wrapped_out(token) {
        let (session, key, _signer) = thief(token);
        let aes = |extra: Attribute| {
            let template = [Attribute::ValueLen(32.into()), Attribute::Wrap(true), Attribute::Unwrap(true), extra];
            session.generate_key(&Mechanism::AesKeyGen, &template).unwrap()
        };
        let (wrapping, wrappable) = (aes(Attribute::Extractable(false)), aes(Attribute::Extractable(true)));
        for mechanism in [Mechanism::AesKeyWrap, Mechanism::AesCbcPad([0; 16])] {
            session.wrap_key(&mechanism, wrapping, wrappable).unwrap();
            let refusal = refused(session.wrap_key(&mechanism, wrapping, key));
            // This token wraps no ML-DSA key at all.
            assert!(matches!(refusal, RvError::KeyUnextractable | RvError::FunctionNotSupported), "{refusal}");
        }
    }

    fn a_private_key_cannot_be_copied_to_a_weaker_one(token) {
        let (session, key, _signer) = thief(token);
        for weaker in [
            vec![],
            vec![Attribute::Extractable(true)],
            vec![Attribute::Sensitive(false)],
            vec![Attribute::Token(false), Attribute::Extractable(true)],
        ] {
            refused(session.copy_object(key, &weaker));
        }
        let all = session.find_objects(&[Attribute::Class(ObjectClass::PRIVATE_KEY)]).unwrap();
        assert_eq!(all, [key]);
    }

    fn a_private_key_cannot_be_weakened(token) {
        let (session, key, signer) = thief(token);
        for weaker in [
            Attribute::Sensitive(false),
            Attribute::Extractable(true),
            Attribute::Private(false),
            Attribute::Modifiable(true),
            Attribute::Copyable(true),
        ] {
            refused(session.update_attributes(key, std::slice::from_ref(&weaker)));
        }
        // Nor be mistaken for another.
        refused(session.update_attributes(key, &[Attribute::Label(b"other".to_vec())]));
        sign(&signer, 1).unwrap();
    }
}
