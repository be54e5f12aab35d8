#![no_main]

#[path = "../../tests/it/fuzz/history_file.rs"]
mod history_file;

libfuzzer_sys::fuzz_target!(|data: &[u8]| history_file::run(data));
