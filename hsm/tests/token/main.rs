//! What `b4ae-hsm` does, with real tokens: one with ML-DSA that fails when it is told to (`hsm/test-token`), and
//! `SoftHSM2`, which has no ML-DSA.

mod choice;
mod keys;
mod patience;
mod pin;
mod recovery;
mod support;
mod theft;
mod without_ml_dsa;
