//! NIST's vectors (ACVP, the demonstration sets of FIPS 203 and 204).

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use serde::Deserialize;

use super::{CONTEXT, Tally, fixed, hex};
use crate::crypto::{ml_dsa, ml_kem};
use crate::secret::Secret;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    mode: String,
    function: Option<String>,
    tests: Vec<Test>,
    skipped: Option<usize>,
    reason: Option<String>,
}

/// The fields of all modes; a mode has some.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Test {
    tc_id: usize,
    #[serde(rename = "testPassed")]
    passes: bool,
    d: String,
    z: String,
    ek: String,
    dk: String,
    m: String,
    c: String,
    k: String,
    seed: String,
    pk: String,
    message: String,
    context: String,
    signature: String,
}

pub(super) fn tallies() -> Vec<Tally> {
    let mut tallies = vec![
        Tally::new("ML-KEM-1024", "NIST ACVP keyGen"),
        Tally::new("ML-KEM-1024", "NIST ACVP encapDecap"),
        Tally::new("ML-DSA-87", "NIST ACVP keyGen"),
        Tally::new("ML-DSA-87", "NIST ACVP sigVer, sigGen"),
    ];
    let [kem_keys, kem, dsa_keys, dsa] = &mut tallies[..] else { unreachable!() };
    run(include_str!("../../../vectors/acvp_ml_kem_1024.json"), |group, test| match group {
        ("keyGen", _) => kem_keys.valid(test.tc_id, kem_key(test)),
        (_, Some("encapsulation")) => kem.valid(test.tc_id, encapsulation(test)),
        (_, Some("decapsulation")) => kem.valid(test.tc_id, decapsulation(test)),
        (_, Some("encapsulationKeyCheck")) => {
            let accepted = ml_kem::encapsulate(&fixed(&test.ek), &Secret::new([1; 32])).is_some();
            kem.verdict(test.tc_id, test.passes, accepted);
        }
        _ => unreachable!("a group without a test of its own"),
    })
    .iter()
    .for_each(|(reason, count)| kem.skip(reason, *count));
    run(include_str!("../../../vectors/acvp_ml_dsa_87.json"), |group, test| match group.0 {
        "keyGen" => {
            let (_, public) = ml_dsa::key_pair(&Secret::new(fixed(&test.seed)));
            dsa_keys.valid(test.tc_id, *public == fixed(&test.pk));
        }
        "sigVer" => {
            let (message, context) = (hex(&test.message), hex(&test.context));
            if !context.is_empty() && !ml_dsa::AS_TOLD {
                dsa.skip(CONTEXT, 1);
                return;
            }
            let accepted = ml_dsa::verify_in_context(&fixed(&test.pk), &message, &context, &fixed(&test.signature));
            dsa.verdict(test.tc_id, test.passes, accepted);
        }
        _ => unreachable!("a group without a test of its own"),
    })
    .iter()
    .for_each(|(reason, count)| dsa.skip(reason, *count));
    tallies
}

/// Runs every test of a file, and returns what the file leaves out and why.
fn run(file: &str, mut each: impl FnMut((&str, Option<&str>), &Test)) -> Vec<(String, usize)> {
    let groups: Vec<Group> = serde_json::from_str(file).unwrap();
    for group in &groups {
        for test in &group.tests {
            each((&group.mode, group.function.as_deref()), test);
        }
    }
    groups.into_iter().filter_map(|group| Some((group.reason?, group.skipped?))).collect()
}

fn kem_key(test: &Test) -> bool {
    let seed = [fixed::<32>(&test.d), fixed(&test.z)].concat().try_into().unwrap();
    let (_, ek) = ml_kem::key_pair(&Secret::new(seed));
    *ek == fixed(&test.ek)
}

fn encapsulation(test: &Test) -> bool {
    let encapsulated = ml_kem::encapsulate(&fixed(&test.ek), &Secret::new(fixed(&test.m)));
    encapsulated.is_some_and(|(ct, shared)| *ct == fixed(&test.c) && *shared.expose() == fixed(&test.k))
}

fn decapsulation(test: &Test) -> bool {
    let dk = ml_kem::DecapsulationKey::from_expanded(&fixed(&test.dk));
    *ml_kem::decapsulate(&dk, &fixed(&test.c)).expose() == fixed(&test.k)
}
