#![no_main]

#[path = "../../tests/it/fuzz/tls_hello.rs"]
mod tls_hello;

libfuzzer_sys::fuzz_target!(|data: &[u8]| tls_hello::run(data));
