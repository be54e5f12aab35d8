//! The wire protocol: types for the lines that server and clients send, and their text form.
//!
//! A line is UTF-8 and ends with `\n`; `\r\n` is accepted from clients. The server sends one JSON
//! object per line, a [`Frame`]. A client sends plain text or a JSON object, a [`ClientLine`].
//! [`LineReader`] splits the bytes of a connection into lines.
//!
//! This module does no I/O and reads no clock.
//!
//! # Examples
//!
//! A client's line and the frame that the server sends for it:
//!
//! ```
//! use smolchat::protocol::{Body, ClientLine, Frame, Request};
//!
//! let line = ClientLine::parse(br#"{"data": "hello", "id": "1"}"#).unwrap();
//! assert_eq!(line.request, Request::Say("hello".into()));
//!
//! let sent = r#"{"data_source":"alice","data":"hello","kind":"chat","seq":7,"time":0,"id":"1"}"#;
//! let frame = Frame::decode(sent.as_bytes()).unwrap();
//! assert!(matches!(frame.body, Body::Chat { seq: 7, .. }));
//! assert_eq!(frame.body.id(), line.id.as_deref());
//! ```

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod codes;
mod confusables;
mod detect;
mod escape;
mod frame;
mod json;
mod line_reader;
mod name;
mod network;
mod operator;
mod request;
mod stats;

pub use codes::{ByeCode, ErrorCode};
pub(crate) use confusables::is_mark;
pub use detect::OtherProtocol;
pub(crate) use detect::PROXY_V2;
#[cfg(feature = "web")]
pub(crate) use detect::{looks_like_http, split_at_byte};
pub use escape::escaped_len;
pub(crate) use escape::{escape_terminal_controls, replace_controls};
pub use frame::{Body, Frame, Limits, SERVER};
pub(crate) use json::JsonObject;
pub use line_reader::{LineReader, TooLong};
pub use name::{MAX_MARKS, MAX_NAME, case_fold, is_valid_name};
pub use network::Network;
pub(crate) use operator::MAX_OPERATOR_TEXT;
pub use operator::{OperatorCommand, Verb};
pub use request::{ClientLine, Hello, Request, RequestError, Secret};
pub(crate) use request::{MAX_PASSWORD, ParsedLine, split_word};
#[cfg(feature = "cluster")]
pub use stats::ClusterStats;
pub use stats::{Counters, Stats};
