//! The wire: text in, text out. No sockets, no clock, no state of the room.
//!
//! UTF-8, one JSON object a line from the server, plain text or JSON from a client, `\n` at
//! the end (`\r\n` is accepted). What the server sends is a [`Frame`]; what a client sends is
//! a [`ClientLine`]; [`LineReader`] cuts bytes into lines, however they arrive.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod confusables;
mod frame;
mod json;
mod line_reader;
mod name;
mod request;
mod stats;

pub use frame::{Body, ByeCode, ErrorCode, Frame, Limits, SERVER};
pub(crate) use json::JsonObject;
pub use line_reader::{LineReader, TooLong};
pub use name::{MAX_MARKS, MAX_NAME, case_fold, is_valid_name};
pub use request::{ClientLine, Hello, OtherProtocol, Request, RequestError};
pub use stats::{Counters, Stats};
