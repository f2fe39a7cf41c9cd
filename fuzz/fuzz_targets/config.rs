//! See `crates/fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| haechi_fuzz::run("config", input));
