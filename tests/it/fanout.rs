//! The lines of `make bench`, and the WebSocket messages in which they are sent and received.

#[allow(dead_code, reason = "the bench uses all of it")]
#[path = "../../benches/fanout/payload.rs"]
mod payload;
#[allow(dead_code, reason = "the bench uses all of it")]
#[path = "../../benches/harness/websocket.rs"]
mod websocket;

#[cfg(feature = "web")]
use smolchat::server::edge::web::{Decoded, Decoder, Opcode};

use payload::HEADER_BYTES;

#[test]
fn scan_finds_the_line_after_any_message_head() {
    for length in 0..=u16::MAX {
        let [high, low] = length.to_be_bytes();
        let mut bytes = vec![websocket::TEXT, 126, high, low, b'{'];
        payload::write(&mut bytes, 3, 77, 5, HEADER_BYTES);
        let mut found = Vec::new();
        payload::scan(&bytes, |line| found.push((line.sender, line.counter, line.sent_at())));
        assert_eq!(found, [(3, 77, 5)], "in a message of {length} bytes");
    }
}

#[test]
fn scan_finds_a_line_that_is_split_between_reads() {
    let mut bytes = b"{".to_vec();
    payload::write(&mut bytes, 1, 2, 3, HEADER_BYTES);
    for end in 0..bytes.len() {
        let used = payload::scan(&bytes[..end], |_| panic!("a part of a line was found"));
        let mut found = 0;
        payload::scan(&bytes[used..], |_| found += 1);
        assert_eq!(found, 1, "split after {end} bytes");
    }
}

#[cfg(feature = "web")]
#[test]
fn message_of_the_bench_is_decoded_unchanged() {
    for length in [0, 125, 126, 1000] {
        let payload = vec![b'x'; length];
        let mut message = Vec::new();
        websocket::write_message(&mut message, websocket::TEXT, &payload);
        let (mut decoder, mut bytes) = (Decoder::new(10_000), &mut message[..]);
        if length > 0 {
            assert_eq!(decoder.next(&mut bytes), Some(Decoded::Text(&payload)));
        }
        assert_eq!(decoder.next(&mut bytes), Some(Decoded::End(Opcode::Text)));
        assert_eq!(decoder.next(&mut bytes), None);
    }
}
