#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| docket_fuzz::did_x509(bytes));
