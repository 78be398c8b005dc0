#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| docket_fuzz::policy(bytes));
