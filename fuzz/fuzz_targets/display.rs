#![no_main]

#[path = "../../tests/it/fuzz/display.rs"]
mod display;

libfuzzer_sys::fuzz_target!(|data: &[u8]| display::run(data));
