//! The framing of the bytes for a client: lines, or the messages of an edge.

#[cfg(feature = "irc")]
use super::edge::irc::{IrcSession, Variant, error_line};
#[cfg(feature = "web")]
use super::edge::web::{CloseCode, FrameHead, Opcode, close_frame};
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
    /// The client has begun a handshake of TLS: it is sent no frames.
    #[cfg(feature = "tls")]
    Handshake {
        /// The client was sent a part of the handshake. It expects encrypted records from then on.
        is_answered: bool,
    },
    /// The client has begun an HTTP request: it is sent a response and no frames.
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
    /// Returns the framing of a client that speaks IRC.
    #[cfg(feature = "irc")]
    pub fn irc(session: &IrcSession) -> Self {
        Framing::Irc { variant: session.variant(), is_usual: session.is_usual() }
    }

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
            #[cfg(feature = "tls")]
            Framing::Handshake { .. } => false,
            _ => true,
        }
    }

    /// Returns the header of a slice.
    #[cfg_attr(not(feature = "web"), expect(unused_variables))]
    pub fn header(self, slice: &Slice) -> Header {
        match self {
            #[cfg(feature = "web")]
            Framing::WebSocket { .. } if slice.kind() != SliceKind::Raw => {
                FrameHead::new(Opcode::Text, slice.bytes().len())
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

/// Returns frames with the header of a message before them.
#[cfg(feature = "web")]
pub fn encode_message(frames: &Slice) -> Vec<u8> {
    let frames = frames.bytes();
    [FrameHead::new(Opcode::Text, frames.len()).as_bytes(), frames].concat()
}

/// The unsent part of the header of a slice.
#[cfg(feature = "web")]
pub type Header = FrameHead;

/// The header of a line, which is empty.
#[cfg(not(feature = "web"))]
#[derive(Clone, Copy, Debug)]
pub struct Header;

#[cfg(not(feature = "web"))]
impl Header {
    pub const EMPTY: Header = Header;

    pub fn as_bytes(&self) -> &[u8] {
        &[]
    }

    pub fn advance(&mut self, count: usize) -> usize {
        count
    }
}
