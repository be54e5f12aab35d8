//! The web edge: HTTP/1.1 and WebSocket, for browsers. No I/O and no clock.
//!
//! A connection whose first bytes [look like a request](looks_like_request) is read by a
//! [`HeadReader`]. `answer` answers the head with a file of the page, with an error, or with the
//! upgrade to WebSocket, after which a [`Decoder`] reads the frames of the client.

mod answer;
mod assets;
mod browser_addresses;
mod decoder;
mod encoder;
mod handshake;
mod head_reader;
mod host;
mod reader;
mod request_head;
mod utf8;

use crate::protocol::looks_like_http;

pub(crate) use browser_addresses::{BROWSER_BYTES, BrowserAddresses, MAX_BROWSERS};
pub use reader::WebEvent;
pub(crate) use reader::WebReader;

#[cfg(feature = "tls")]
pub use answer::tls_required_response;
pub use answer::{
    Answer, answer, cut_off_response, timeout_response, too_large_response, too_late_response,
};
pub use decoder::{Decoded, Decoder};
pub use encoder::{CloseCode, FrameHead, Opcode, close_frame, pong_frame};
pub use head_reader::{HeadReader, HeadTooLong, MAX_HEAD_BYTES};
pub use host::is_host_name;

/// Returns whether the first bytes of a connection, which have no newline, can become an HTTP
/// request with more bytes.
///
/// # Examples
///
/// ```
/// use smolchat::server::edge::web::looks_like_request;
///
/// assert!(looks_like_request(b"G"));
/// assert!(looks_like_request(b"GET / HTTP/1.1\r"));
/// assert!(!looks_like_request(b"GET m"));
/// assert!(!looks_like_request(b"hello"));
/// ```
pub fn looks_like_request(start: &[u8]) -> bool {
    looks_like_http(start)
}
