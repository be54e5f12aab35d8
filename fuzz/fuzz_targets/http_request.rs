#![no_main]

#[path = "../../tests/it/fuzz/http_request.rs"]
mod http_request;

libfuzzer_sys::fuzz_target!(|data: &[u8]| http_request::run(data));
