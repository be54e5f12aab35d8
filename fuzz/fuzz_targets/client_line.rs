#![no_main]

#[path = "../../tests/it/fuzz/client_line.rs"]
mod client_line;

libfuzzer_sys::fuzz_target!(|data: &[u8]| client_line::run(data));
