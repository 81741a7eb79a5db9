#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| claimgate_fuzz::portable(bytes));
