#![no_main]

#[path = "../../tests/it/fuzz/irc_message.rs"]
mod irc_message;

libfuzzer_sys::fuzz_target!(|data: &[u8]| irc_message::run(data));
