//! Keys: made, found, described, used and destroyed.

use b4ae_core::Signer;
use b4ae_hsm::{HsmError, Pkcs11Signer, Token, list_tokens};

use crate::support::{self, pin, token_tests};

token_tests! {
    fn a_key_made_in_the_token_signs_there(token) {
        let uri = token.set_up();
        let key = Token::open(&uri, Some(pin())).unwrap().generate("b4ae", None).unwrap();
        assert!(key.sensitive && key.always_sensitive && !key.extractable && key.never_extractable && key.local);
        assert!(key.private && key.stored && !key.modifiable && !key.copyable && !key.always_authenticate, "{key:?}");

        let signer = Pkcs11Signer::open(&key.uri(), pin()).unwrap();
        assert_eq!(signer.public_key(), &*key.public_key);
        let (message, mut signature) = ([7; 64], [0; 4627]);
        signer.sign(&message, &[0; 32], &mut signature).unwrap();
        assert!(support::verifies(&key.public_key, &message, &signature));
        assert!(!support::verifies(&key.public_key, &[8; 64], &signature));
        signer.check().unwrap();
        assert_eq!(signer.status().signatures, 1);
    }
}
