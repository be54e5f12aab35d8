//! The client: a [`Session`] with a room.
//!
//! It knows the [protocol](crate::protocol) and nothing else of the server.
//!
//! - [`Session`] is for programs: connect, say, receive, finish. It comes back by itself when the
//!   link is lost, and [its module](session) says what that means for what was said.
//! - Below it, each with no knowledge of the others: the place in the room's sequence, the ledger
//!   of lines that were not answered yet, the link that carries lines, its pulse, and the pauses
//!   between one try and the next.

mod address;
mod backoff;
mod config;
mod error;
mod event;
mod keepalive;
mod link;
mod pending_lines;
mod resume_state;
mod sanitize;
pub mod session;

pub use address::ServerAddress;
pub use config::{ReconnectPolicy, SessionConfig};
pub use error::{Error, SendError};
pub use event::{Received, SessionEvent};
#[cfg(feature = "editor")]
pub(crate) use sanitize::is_invisible;
pub use sanitize::sanitize;
pub use session::Session;
