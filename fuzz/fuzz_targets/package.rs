#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| demotic_fuzz::package(bytes));
