#![no_main]

#[path = "../../tests/it/fuzz/screen.rs"]
mod screen;

libfuzzer_sys::fuzz_target!(|data: &[u8]| screen::run(data));
