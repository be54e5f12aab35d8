//! The web edge: HTTP/1.1 and WebSocket, for browsers. No I/O and no clock.
//!
//! A connection whose first bytes are [those of a request](looks_like_request) is read by a
//! [`HeadReader`]. The head is [answered](answer) with a file of the page, with an error, or with
//! the upgrade to WebSocket, after which a [`Decoder`] reads the frames of the client.

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

pub(crate) use assets::PAGE_BYTES;
pub(crate) use browser_addresses::{BROWSER_BYTES, BrowserAddresses, MAX_BROWSERS};
pub use reader::WebEvent;
pub(crate) use reader::WebReader;

pub use answer::{Answer, Response, answer, timeout, too_large};
pub use decoder::{Decoded, Decoder};
pub use encoder::{CloseCode, FrameHead, Opcode, close_frame, pong_frame};
pub use head_reader::{HeadReader, HeadTooLong, MAX_HEAD_BYTES, looks_like_request};
pub use host::is_host_name;
