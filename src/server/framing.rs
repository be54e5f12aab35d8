//! The framing of what a client is sent: lines, or the messages of an edge.

#[cfg(feature = "irc")]
use super::edge::irc::{Variant, error_line};
#[cfg(feature = "web")]
use super::edge::web::{CloseCode, close_frame};
use crate::protocol::{ByeCode, Frame};
use crate::room::Slice;
#[cfg(feature = "web")]
use crate::room::SliceKind;

/// The framing of the slices that a client is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Every frame is a line.
    Lines,
    /// Every slice has lines of IRC.
    #[cfg(feature = "irc")]
    Irc {
        /// The variant of the shared lines.
        variant: Variant,
        /// The client is sent all shared lines of the next batch, and no others.
        is_usual: bool,
    },
    /// The client has begun an HTTP request, and is sent a response and no frame.
    #[cfg(feature = "web")]
    Http,
    /// Every slice is one WebSocket message, which has a header before its frames.
    #[cfg(feature = "web")]
    WebSocket {
        /// The code of the close frame after the last message.
        close_code: Option<CloseCode>,
    },
}

impl Framing {
    /// Returns whether a client without unicasts is sent all shared frames of a batch.
    pub fn is_shared(self) -> bool {
        match self {
            #[cfg(feature = "irc")]
            Framing::Irc { is_usual, .. } => is_usual,
            _ => true,
        }
    }

    /// Returns the last frame for a client.
    pub fn bye(self, code: ByeCode, seq: u64) -> Slice {
        match self {
            #[cfg(feature = "irc")]
            Framing::Irc { .. } => Slice::raw(error_line(code.text()).into()),
            _ => Slice::own(&Frame::bye(code, seq)),
        }
    }

    /// Returns whether slices have headers.
    pub fn has_headers(self) -> bool {
        match self {
            #[cfg(feature = "web")]
            Framing::WebSocket { .. } => true,
            _ => false,
        }
    }

    /// Returns whether the client is sent frames.
    pub fn has_frames(self) -> bool {
        match self {
            #[cfg(feature = "web")]
            Framing::Http => false,
            _ => true,
        }
    }

    /// Returns the header of a slice.
    #[cfg_attr(not(feature = "web"), expect(unused_variables))]
    pub fn header(self, slice: &Slice) -> Header {
        match self {
            #[cfg(feature = "web")]
            Framing::WebSocket { .. } if slice.kind() != SliceKind::Raw => {
                Header::new(TEXT_MESSAGE, slice.bytes().len())
            }
            _ => Header::EMPTY,
        }
    }

    /// Returns the bytes that follow the bye, if there are any.
    #[cfg_attr(not(feature = "web"), expect(unused_variables))]
    pub fn end(self, is_shutting_down: bool) -> Option<Slice> {
        match self {
            #[cfg(feature = "web")]
            Framing::WebSocket { close_code } => {
                let code = if is_shutting_down { Some(CloseCode::GOING_AWAY) } else { close_code };
                Some(Slice::raw(close_frame(code).into()))
            }
            _ => None,
        }
    }
}

/// Returns frames with the header of a text message before them.
#[cfg(feature = "web")]
pub fn message_of(frames: &Slice) -> Vec<u8> {
    let frames = frames.bytes();
    [Header::new(TEXT_MESSAGE, frames.len()).bytes(), frames].concat()
}

/// The first byte of a text message in one frame: FIN and the opcode (RFC 6455, section 5.2).
#[cfg(feature = "web")]
const TEXT_MESSAGE: u8 = 0x81;

/// The header of a WebSocket frame, or the unsent part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    bytes: [u8; 10],
    // Invariant: start <= end <= 10.
    start: u8,
    end: u8,
}

impl Header {
    /// No bytes.
    pub const EMPTY: Header = Header { bytes: [0; 10], start: 0, end: 0 };

    /// Creates the header of a frame whose first byte is `first` and whose payload has `length`
    /// bytes.
    #[cfg(feature = "web")]
    pub fn new(first: u8, length: usize) -> Self {
        let mut header = Header::EMPTY;
        let [first_byte, short, rest @ ..] = &mut header.bytes;
        *first_byte = first;
        if length < 126 {
            *short = length as u8;
            header.end = 2;
        } else if let Ok(length) = u16::try_from(length) {
            *short = 126;
            let [high, low, ..] = rest;
            [*high, *low] = length.to_be_bytes();
            header.end = 4;
        } else {
            *short = 127;
            *rest = (length as u64).to_be_bytes();
            header.end = 10;
        }
        header
    }

    /// Returns the unsent bytes.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(self.start.into()..self.end.into()).unwrap_or_default()
    }

    /// Removes as many as possible of the first `count` bytes, which were sent, and returns how many
    /// of them are left.
    pub fn advance(&mut self, count: usize) -> usize {
        let part = count.min(self.bytes().len());
        self.start += part as u8;
        count - part
    }
}
