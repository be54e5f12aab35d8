//! The frames that the server sends.

/// The kind of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    /// A text message.
    Text = 1,
    /// A binary message.
    Binary = 2,
    /// The end of the connection, with a [`CloseCode`].
    Close = 8,
    /// A question whether the connection works.
    Ping = 9,
    /// The answer to a ping.
    Pong = 10,
}

/// The reason of a close frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CloseCode(pub u16);

impl CloseCode {
    /// The connection has served its purpose.
    pub const NORMAL: CloseCode = CloseCode(1000);
    /// The server shuts down.
    pub const GOING_AWAY: CloseCode = CloseCode(1001);
    /// The client sent an invalid frame.
    pub const PROTOCOL_ERROR: CloseCode = CloseCode(1002);
    /// The client sent a binary message.
    pub const UNSUPPORTED: CloseCode = CloseCode(1003);
    /// The client sent a text that is not UTF-8.
    pub const INVALID_TEXT: CloseCode = CloseCode(1007);
    /// The client sent a message over the limit.
    pub const TOO_LARGE: CloseCode = CloseCode(1009);

    /// Returns whether a client may send this code.
    pub(super) fn is_valid(self) -> bool {
        matches!(self.0, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }
}

/// The bytes in front of the payload of a frame: 2, 4 or 10, or those of them that are unsent.
#[derive(Clone, Copy, Debug)]
pub struct FrameHead {
    bytes: [u8; 10],
    // Invariant: start <= end <= 10.
    start: u8,
    end: u8,
}

impl FrameHead {
    /// No bytes.
    pub const EMPTY: FrameHead = FrameHead { bytes: [0; 10], start: 0, end: 0 };

    /// Creates the head of an unfragmented frame with a payload of `length` bytes.
    ///
    /// # Examples
    ///
    /// ```
    /// use smolchat::server::edge::web::{FrameHead, Opcode};
    ///
    /// assert_eq!(FrameHead::new(Opcode::Text, 5).as_bytes(), [0x81, 5]);
    /// assert_eq!(FrameHead::new(Opcode::Text, 300).as_bytes(), [0x81, 126, 1, 44]);
    /// ```
    pub fn new(opcode: Opcode, length: usize) -> Self {
        let (second, length_bytes) = match length {
            0..=125 => (length as u8, 0),
            126..=0xFFFF => (126, 2),
            _ => (127, 8),
        };
        // The low bytes come first.
        let length = (length as u64).rotate_right(8 * length_bytes);
        let [a, b, c, d, e, f, g, h] = length.to_be_bytes();
        let bytes = [0x80 | opcode as u8, second, a, b, c, d, e, f, g, h];
        FrameHead { bytes, start: 0, end: 2 + length_bytes as u8 }
    }

    /// Returns the unsent bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(self.start.into()..self.end.into()).unwrap_or_default()
    }

    /// Removes as many as possible of the first `count` bytes, which were sent, and returns how many
    /// of these were not in the head.
    pub fn advance(&mut self, count: usize) -> usize {
        let part = count.min(self.as_bytes().len());
        self.start += part as u8;
        count - part
    }
}

/// Returns a close frame; without a code, it is the answer to a close frame without a code.
pub fn close_frame(code: Option<CloseCode>) -> Vec<u8> {
    let payload = code.map(|code| code.0.to_be_bytes());
    frame(Opcode::Close, payload.as_ref().map_or(&[], |payload| payload))
}

/// Returns the answer to a ping with this payload, which has at most 125 bytes.
pub fn pong_frame(payload: &[u8]) -> Vec<u8> {
    frame(Opcode::Pong, payload)
}

fn frame(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    [FrameHead::new(opcode, payload.len()).as_bytes(), payload].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_takes_the_fewest_bytes() {
        for (length, expected) in [
            (0, &[0x81, 0][..]),
            (125, &[0x81, 125]),
            (126, &[0x81, 126, 0, 126]),
            (65_535, &[0x81, 126, 0xFF, 0xFF]),
            (65_536, &[0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            assert_eq!(FrameHead::new(Opcode::Text, length).as_bytes(), expected);
        }
    }

    #[test]
    fn control_frames_have_their_payload() {
        assert_eq!(close_frame(None), [0x88, 0]);
        assert_eq!(close_frame(Some(CloseCode::GOING_AWAY)), [0x88, 2, 3, 0xE9]);
        assert_eq!(pong_frame(b"hi"), *b"\x8A\x02hi");
    }
}
