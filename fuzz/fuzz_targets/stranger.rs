//! Runs the target `stranger`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    b4ae_fuzz::stranger::run(data);
});
