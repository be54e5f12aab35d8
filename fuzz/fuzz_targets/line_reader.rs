#![no_main]

#[path = "../../tests/it/fuzz/line_reader.rs"]
mod line_reader;

libfuzzer_sys::fuzz_target!(|data: &[u8]| line_reader::run(data));
