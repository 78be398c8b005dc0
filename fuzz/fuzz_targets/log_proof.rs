#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| docket_fuzz::log_proof(bytes));
