#![no_main]

#[path = "../../tests/it/fuzz/irc_session.rs"]
mod irc_session;

libfuzzer_sys::fuzz_target!(|data: &[u8]| irc_session::run(data));
