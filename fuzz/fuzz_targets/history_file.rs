#![no_main]

#[path = "../targets/history_file.rs"]
mod history_file;

libfuzzer_sys::fuzz_target!(|data: &[u8]| history_file::run(data));
