//! A streaming decoder for the frames that a client sends (RFC 6455).

use std::mem;

use super::utf8::Utf8Check;
use super::{CloseCode, Opcode};

/// The most bytes of the payload of a control frame.
const MAX_CONTROL_BYTES: u8 = 125;

/// The most bytes before the payload of a frame.
const MAX_FRAME_HEAD_BYTES: usize = 14;

const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// A part of the input of a [`Decoder`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoded<'a> {
    /// The next bytes of a text message. They can end inside a character.
    Text(&'a [u8]),
    /// The next bytes of a binary message.
    Binary(&'a [u8]),
    /// The end of a message of this kind, text or binary. An empty message has no other part.
    End(Opcode),
    /// A ping with its payload, of at most 125 bytes. It can come between the parts of a message.
    Ping(&'a [u8]),
    /// A pong. It can come between the parts of a message.
    Pong,
    /// The last frame of the client, with its code if it has one. Later bytes are discarded.
    Close(Option<CloseCode>),
    /// An invalid frame; the connection has to be closed with this code. Later bytes are discarded.
    Error(CloseCode),
}

/// A decoder for the frames of one client, independent of how reads split them.
///
/// The payload is unmasked in place. It is not buffered, except that of a control frame.
///
/// # Examples
///
/// ```
/// use smolchat::server::edge::web::{Decoded, Decoder, Opcode};
///
/// let mut decoder = Decoder::new(1024);
/// let mut frame = *b"\x81\x85\x01\x02\x03\x04igohn";
/// let mut bytes = &mut frame[..];
/// assert_eq!(decoder.next(&mut bytes), Some(Decoded::Text(b"hello")));
/// assert_eq!(decoder.next(&mut bytes), Some(Decoded::End(Opcode::Text)));
/// assert_eq!(decoder.next(&mut bytes), None);
/// ```
#[derive(Debug)]
pub struct Decoder {
    max_message: u64,
    /// The bytes of the message in all frames whose head was read; at least 1 a frame but the last.
    message_bytes: u64,
    /// The bytes of the payload that are to come.
    remaining: u64,
    state: DecoderState,
    /// The kind of the message that has begun, text or binary.
    message: Option<Opcode>,
    utf8: Utf8Check,
    /// The opcode of the frame.
    opcode: u8,
    /// Whether the frame is the last one of its message.
    is_final: bool,
    /// The mask, rotated so that it begins with the byte for the next byte of the payload.
    mask: [u8; 4],
    /// The head of the frame, of which the first `filled` bytes were read.
    head: [u8; MAX_FRAME_HEAD_BYTES],
    filled: u8,
    /// The payload of a control frame. Not an array: a client that sends none needs no memory for
    /// it.
    control: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
enum DecoderState {
    Head,
    Payload,
    /// The error was not returned yet.
    Failed(CloseCode),
    /// All bytes are discarded.
    Ended,
}

impl Decoder {
    /// Creates a decoder for messages of at most `max_message` bytes.
    pub fn new(max_message: u64) -> Self {
        Decoder {
            max_message,
            message_bytes: 0,
            remaining: 0,
            state: DecoderState::Head,
            message: None,
            utf8: Utf8Check::default(),
            opcode: 0,
            is_final: false,
            mask: [0; 4],
            head: [0; MAX_FRAME_HEAD_BYTES],
            filled: 0,
            control: Vec::new(),
        }
    }

    /// Decodes the next part of `bytes` and removes it from them. Returns `None` when all bytes are
    /// removed and more are needed.
    pub fn next<'d, 'b: 'd>(&'d mut self, bytes: &mut &'b mut [u8]) -> Option<Decoded<'d>> {
        loop {
            match self.state {
                DecoderState::Head => {
                    self.control = Vec::new();
                    let (byte, rest) = mem::take(bytes).split_first_mut()?;
                    *bytes = rest;
                    if let Err(code) = self.read_head(*byte) {
                        self.state = DecoderState::Failed(code);
                    }
                }
                DecoderState::Payload if self.remaining == 0 => {
                    self.state = DecoderState::Head;
                    if self.is_control() {
                        return Some(self.finish_control());
                    }
                    if self.is_final
                        && let Some(kind) = self.message.take()
                    {
                        return Some(self.finish_message(kind));
                    }
                }
                DecoderState::Payload if bytes.is_empty() => return None,
                DecoderState::Payload => {
                    let part = self.take_payload(bytes);
                    match self.message {
                        _ if self.is_control() => self.buffer_control(part),
                        Some(Opcode::Text) => {
                            let valid = self.check_text(part);
                            if !valid.is_empty() {
                                return Some(Decoded::Text(valid));
                            }
                        }
                        _ => return Some(Decoded::Binary(part)),
                    }
                }
                DecoderState::Failed(code) => {
                    self.state = DecoderState::Ended;
                    return Some(Decoded::Error(code));
                }
                DecoderState::Ended => {
                    *bytes = &mut [];
                    return None;
                }
            }
        }
    }

    /// Reads the next byte of the head of a frame.
    fn read_head(&mut self, byte: u8) -> Result<(), CloseCode> {
        if let Some(free) = self.head.get_mut(usize::from(self.filled)) {
            *free = byte;
        }
        self.filled += 1;
        let [_, second, rest @ ..] = self.head;
        let length = second & 0x7F;
        let (length_bytes, is_minimal, payload) = match (length, rest) {
            (126, [a, b, ..]) => {
                let payload = u64::from(u16::from_be_bytes([a, b]));
                (2, payload > 125, payload)
            }
            (127, [a, b, c, d, e, f, g, h, ..]) => {
                let payload = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
                (8, (1 << 16..1 << 63).contains(&payload), payload)
            }
            _ => (0, true, length.into()),
        };
        match self.filled {
            1 => self.check_opcode(byte)?,
            2 if byte & 0x80 == 0 || self.is_control() && length > MAX_CONTROL_BYTES => {
                return Err(CloseCode::PROTOCOL_ERROR);
            }
            _ => {}
        }
        if self.filled == 2 + length_bytes {
            self.remaining = payload;
            if !is_minimal {
                return Err(CloseCode::PROTOCOL_ERROR);
            }
            self.count_payload()?;
        }
        if self.filled == 6 + length_bytes {
            let mask = rest.get(length_bytes.into()..).and_then(|rest| rest.first_chunk());
            self.mask = mask.copied().unwrap_or_default();
            self.filled = 0;
            self.state = DecoderState::Payload;
        }
        Ok(())
    }

    /// Checks the first byte of a head. Starts a message with a text or binary frame.
    fn check_opcode(&mut self, byte: u8) -> Result<(), CloseCode> {
        self.opcode = byte & 0x0F;
        self.is_final = byte & 0x80 != 0;
        let is_allowed = match self.opcode {
            CONTINUATION => self.message.is_some(),
            TEXT | BINARY => self.message.is_none(),
            CLOSE | PING | PONG => self.is_final,
            _ => false,
        };
        if byte & 0x70 != 0 || !is_allowed {
            return Err(CloseCode::PROTOCOL_ERROR);
        }
        if self.message.is_none() {
            self.message_bytes = 0;
            match self.opcode {
                TEXT => self.message = Some(Opcode::Text),
                BINARY => self.message = Some(Opcode::Binary),
                _ => {}
            }
        }
        Ok(())
    }

    /// Adds the payload of a frame to the size of its message. An empty frame before the last
    /// counts as a byte, so that the number of frames of a message is bounded.
    fn count_payload(&mut self) -> Result<(), CloseCode> {
        if !self.is_control() {
            let bytes = self.remaining.max(u64::from(!self.is_final));
            self.message_bytes = self.message_bytes.saturating_add(bytes);
        }
        if self.message_bytes > self.max_message { Err(CloseCode::TOO_LARGE) } else { Ok(()) }
    }

    /// Removes the bytes of the payload from `bytes` and unmasks them.
    fn take_payload<'b>(&mut self, bytes: &mut &'b mut [u8]) -> &'b mut [u8] {
        let count = bytes.len().min(usize::try_from(self.remaining).unwrap_or(usize::MAX));
        let (part, rest) = mem::take(bytes).split_at_mut(count);
        *bytes = rest;
        self.remaining -= count as u64;
        unmask(part, &mut self.mask);
        part
    }

    /// Returns the bytes of a text before the first invalid one.
    fn check_text<'b>(&mut self, part: &'b [u8]) -> &'b [u8] {
        let Err(index) = self.utf8.check(part) else { return part };
        self.state = DecoderState::Failed(CloseCode::INVALID_TEXT);
        part.get(..index).unwrap_or_default()
    }

    /// Returns whether the frame is a control frame.
    fn is_control(&self) -> bool {
        self.opcode & 8 != 0
    }

    fn buffer_control(&mut self, part: &[u8]) {
        self.control.reserve_exact(part.len() + self.remaining as usize);
        self.control.extend_from_slice(part);
    }

    fn finish_message(&mut self, kind: Opcode) -> Decoded<'static> {
        if self.utf8.is_complete() {
            return Decoded::End(kind);
        }
        self.state = DecoderState::Ended;
        Decoded::Error(CloseCode::INVALID_TEXT)
    }

    fn finish_control(&mut self) -> Decoded<'_> {
        let payload = &self.control[..];
        match self.opcode {
            PING => return Decoded::Ping(payload),
            PONG => return Decoded::Pong,
            _ => self.state = DecoderState::Ended,
        }
        match *payload {
            [] => Decoded::Close(None),
            [high, low, ref reason @ ..] => {
                let code = CloseCode(u16::from_be_bytes([high, low]));
                match str::from_utf8(reason) {
                    _ if !code.is_valid() => Decoded::Error(CloseCode::PROTOCOL_ERROR),
                    Ok(_) => Decoded::Close(Some(code)),
                    Err(_) => Decoded::Error(CloseCode::INVALID_TEXT),
                }
            }
            [_] => Decoded::Error(CloseCode::PROTOCOL_ERROR),
        }
    }
}

/// Unmasks a part of a payload, and rotates the mask for the next part.
fn unmask(part: &mut [u8], mask: &mut [u8; 4]) {
    let (chunks, rest) = part.as_chunks_mut();
    for chunk in chunks {
        *chunk = (u32::from_ne_bytes(*chunk) ^ u32::from_ne_bytes(*mask)).to_ne_bytes();
    }
    for byte in rest {
        *byte ^= mask[0];
        mask.rotate_left(1);
    }
}

#[cfg(test)]
mod tests;
