//! What the talkers say: a line of fixed width that any server passes on untouched, and that can
//! be found again in whatever the server wraps around it.
//!
//! `~T`, the talker (two hex digits), its counter (six), the time of sending in nanoseconds
//! (sixteen), then dots up to the length that the work asks for. A receiver looks for the mark
//! and parses no framing, JSON least of all: the cost of the load generator is to be small, and
//! the same for every system.

use std::io::{BufRead, Write};

/// First byte of the mark. None of the systems puts it into its own part of a frame.
const MARK: u8 = b'~';
/// Second byte of the mark.
const MARK_SECOND: u8 = b'T';

/// Bytes of a payload that carry something; the rest is padding.
pub const HEADER_BYTES: usize = 26;

/// The header of one delivered payload.
pub struct Header<'a> {
    /// Number of the talker.
    pub sender: usize,
    /// How many lines this talker had sent before.
    pub counter: u32,
    /// The time of sending, still in hex: only a few members measure latency.
    time: &'a [u8],
}

impl Header<'_> {
    /// When the line was sent, in nanoseconds of the load generator's clock.
    pub fn sent_at(&self) -> u64 {
        hex(self.time)
    }
}

/// Appends one payload of `len` bytes.
pub fn write(out: &mut Vec<u8>, sender: usize, counter: u32, now: u64, len: usize) {
    let start = out.len();
    write!(out, "~T{sender:02x}{counter:06x}{now:016x}").expect("a Vec takes every write");
    out.resize(start + len.max(HEADER_BYTES), b'.');
}

/// Calls `each` for every payload header in `bytes`, and returns how many bytes are done with:
/// what is behind them is a header cut short, which belongs in front of the next read.
pub fn scan(bytes: &[u8], mut each: impl FnMut(Header<'_>)) -> usize {
    let mut at = 0;
    loop {
        let mut rest = &bytes[at..];
        // The one way to libc's `memchr` that std offers; reading a slice cannot fail.
        let skipped = rest.skip_until(MARK).unwrap_or_default();
        if skipped == 0 || bytes[at + skipped - 1] != MARK {
            return bytes.len();
        }
        let start = at + skipped - 1;
        match bytes.get(start..start + HEADER_BYTES) {
            None => return start,
            Some(header) if header[1] == MARK_SECOND => {
                each(Header {
                    sender: hex(&header[2..4]) as usize,
                    counter: hex(&header[4..10]) as u32,
                    time: &header[10..],
                });
                at = start + HEADER_BYTES;
            }
            Some(_) => at = start + 1,
        }
    }
}

/// Reads lower-case hex digits; anything else gives a number that no talker has sent.
fn hex(digits: &[u8]) -> u64 {
    digits.iter().fold(0, |value, &digit| value << 4 | u64::from((digit & 0xf) + 9 * (digit >> 6)))
}
