#![no_main]

#[path = "../../tests/it/fuzz/websocket_frames.rs"]
mod websocket_frames;

libfuzzer_sys::fuzz_target!(|data: &[u8]| websocket_frames::run(data));
