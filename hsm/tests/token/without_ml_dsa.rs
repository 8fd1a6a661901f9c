//! `SoftHSM2`: a token without ML-DSA, of a module for PKCS#11 2.40.

use std::path::Path;

use b4ae_hsm::{HsmError, Pkcs11Signer, Token, list_tokens};

use crate::support::{LABEL, pin, set_up, token_tests};

const SOFTHSM: &str = "/usr/lib/softhsm/libsofthsm2.so";

token_tests! {
    fn a_token_without_ml_dsa_is_told_apart(_token) {
        let uri = set_up(Path::new(SOFTHSM), LABEL);
        let found = list_tokens(&uri).unwrap();
        assert_eq!(found[0].module.cryptoki, (2, 40));

        let opened = Token::open(&uri, Some(pin())).unwrap();
        for error in [
            opened.generate("b4ae", None).unwrap_err(),
            opened.keys().unwrap_err(),
            Pkcs11Signer::open(&uri, pin()).unwrap_err(),
        ] {
            assert!(matches!(error, HsmError::NoMlDsa { .. }), "{error}");
            let text = error.to_string();
            assert!(text.starts_with("this token has no ML-DSA") && text.contains("CKM_ML_DSA"), "{error}");
            assert!(text.contains("PKCS#11 3.2"), "{error}");
        }
        let can = opened.capabilities().unwrap();
        assert_eq!((can.mechanisms.len(), can.signs), (0, None));
    }
}
