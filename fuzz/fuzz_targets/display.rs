#![no_main]

#[path = "../targets/display.rs"]
mod display;

libfuzzer_sys::fuzz_target!(|data: &[u8]| display::run(data));
