#![no_main]

#[path = "../../tests/it/fuzz/tls_records.rs"]
mod tls_records;

libfuzzer_sys::fuzz_target!(|data: &[u8]| tls_records::run(data));
