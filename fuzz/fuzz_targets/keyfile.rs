//! Runs the target `keyfile`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    b4ae_fuzz::keyfile::run(data);
});
