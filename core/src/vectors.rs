//! The test vectors of docs/PROTOCOL.md, in `tests/vectors`: made here anew at each run, and compared byte for byte.
//!
//! `B4AE_BLESS=1 cargo test -p b4ae-core vectors` writes what the code says now.

mod handshake;
mod parts;
mod rotation;
mod schedule;

use std::path::Path;
use std::string::String;
use std::{env, fs, println};

use data_encoding::HEXLOWER;
use serde::Serialize;

use crate::mode::ModePolicy;

fn hex(bytes: impl AsRef<[u8]>) -> String {
    HEXLOWER.encode(bytes.as_ref())
}

/// Fails where `made` and the file differ, naming the first such line; or writes the file, if asked to.
fn compare(file: &str, made: &impl Serialize) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors").join(file);
    let made = serde_json::to_string_pretty(made).unwrap() + "\n";
    if env::var_os("B4AE_BLESS").is_some() {
        fs::write(&path, made).unwrap();
        println!("{} is written", path.display());
        return;
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    let line = made.lines().zip(kept.lines()).take_while(|(made, kept)| made == kept).count();
    assert!(
        made == kept,
        "{file} is not what the code says, from line {} on. If docs/PROTOCOL.md says the same as the code: {}",
        line + 1,
        "B4AE_BLESS=1 cargo test -p b4ae-core vectors"
    );
}

#[test]
fn mode_a_is_as_written() {
    compare("mode-a.json", &handshake::run(ModePolicy::A));
}

#[test]
fn mode_b_is_as_written() {
    compare("mode-b.json", &handshake::run(ModePolicy::B));
}

#[test]
fn the_parts_are_as_written() {
    compare("parts.json", &parts::all());
}

#[test]
fn the_rotations_are_as_written() {
    compare("rotation.json", &rotation::all());
}
