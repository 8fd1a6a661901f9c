//! Runs the target `rotation`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    b4ae_fuzz::rotation::run(data);
});
