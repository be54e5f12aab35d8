#![no_main]

#[path = "../targets/client_line.rs"]
mod client_line;

libfuzzer_sys::fuzz_target!(|data: &[u8]| client_line::run(data));
