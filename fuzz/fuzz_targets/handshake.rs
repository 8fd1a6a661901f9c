//! Runs the target `handshake`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    b4ae_fuzz::handshake::run(data);
});
