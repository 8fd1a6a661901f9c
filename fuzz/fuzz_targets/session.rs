//! Runs the target `session`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    b4ae_fuzz::session::run(data);
});
