//! The lines that are sent: of a fixed length, passed on unchanged by any server, and found again
//! inside any framing.
//!
//! A payload is `T~~`, the sender (two hex digits), its counter (six), the time of sending in
//! nanoseconds (sixteen), and dots up to the length of the workload. The receiver searches for the
//! mark and parses no framing, so that its cost is small and the same for every system.

use std::io::{BufRead, Write};

/// The mark. No system has it in its own part of a frame. It has three bytes, because two can be the
/// length of a WebSocket message; the payload of that does not begin with the third.
const MARK: [u8; 3] = *b"T~~";

/// Bytes of a payload before the dots.
pub const HEADER_BYTES: usize = 27;

/// The header of a payload.
pub struct Header<'a> {
    /// Number of the sender.
    pub sender: usize,
    /// Number of lines that this sender has sent before.
    pub counter: u32,
    /// Time of sending in hex. Not decoded here: only a few members measure latency.
    time: &'a [u8],
}

impl Header<'_> {
    /// Returns the time of sending, in nanoseconds of the load generator's clock.
    pub fn sent_at(&self) -> u64 {
        hex(self.time)
    }
}

/// Appends a payload of `len` bytes.
pub fn write(out: &mut Vec<u8>, sender: usize, counter: u32, now: u64, len: usize) {
    let start = out.len();
    write!(out, "T~~{sender:02x}{counter:06x}{now:016x}").expect("writing to a Vec cannot fail");
    out.resize(start + len.max(HEADER_BYTES), b'.');
}

/// Calls `each` for every header in `bytes`, and returns how many bytes are used. The rest is the
/// start of a header, to be put in front of the next read.
pub fn scan(bytes: &[u8], mut each: impl FnMut(Header<'_>)) -> usize {
    let mut at = 0;
    loop {
        let mut rest = &bytes[at..];
        // The only function of std that uses libc's `memchr`. Reading a slice cannot fail.
        let skipped = rest.skip_until(MARK[0]).unwrap_or_default();
        if skipped == 0 || bytes[at + skipped - 1] != MARK[0] {
            return bytes.len();
        }
        let start = at + skipped - 1;
        match bytes.get(start..start + HEADER_BYTES) {
            None => return start,
            Some(header) if header.starts_with(&MARK) => {
                each(Header {
                    sender: hex(&header[3..5]) as usize,
                    counter: hex(&header[5..11]) as u32,
                    time: &header[11..],
                });
                at = start + HEADER_BYTES;
            }
            Some(_) => at = start + 1,
        }
    }
}

/// Decodes lower-case hex digits. Other bytes give a number that no sender uses.
fn hex(digits: &[u8]) -> u64 {
    digits.iter().fold(0, |value, &digit| value << 4 | u64::from((digit & 0xf) + 9 * (digit >> 6)))
}
