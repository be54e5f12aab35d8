#![no_main]

#[path = "../../tests/it/fuzz/tls_handshake.rs"]
mod tls_handshake;

libfuzzer_sys::fuzz_target!(|data: &[u8]| tls_handshake::run(data));
