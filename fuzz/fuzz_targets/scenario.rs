//! Runs the target `scenario`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    b4ae_fuzz::scenario::run(data);
});
