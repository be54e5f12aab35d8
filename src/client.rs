//! The client: a [`Session`] with a room, and what the program `smolchat` makes of it.
//!
//! It knows the [protocol](crate::protocol) and nothing else of the server. From the outside in:
//!
//! - [`converse`] is the program `smolchat`: a session between standard input and output, with
//!   [`render`] for what a person sees of a frame. At a terminal, with the feature `editor`, it is
//!   `chat`, which keeps what is typed apart from what arrives. [`script::run`] is the same for programs: lines of
//!   JSON, a few lines from the command line, or a command that takes part. What a person always
//!   wants is in the file of [`settings`].
//! - [`Session`] is for programs: connect, say, receive, finish. It comes back by itself when the
//!   link is lost, and [its module](session) says what that means for what was said.
//! - Below it, each with no knowledge of the others: the place in the room's sequence, the ledger
//!   of lines that were not answered yet, the link that carries lines, its pulse, and the pauses
//!   between one try and the next.

mod address;
mod backoff;
#[cfg(feature = "editor")]
mod chat;
mod clock;
mod error;
mod event;
mod ledger;
mod link;
mod look;
mod place;
mod pulse;
mod screen;
pub mod script;
pub mod session;
pub mod settings;
mod terminal;

pub use address::Address;
pub use clock::Clock;
pub use error::Error;
pub use event::{Comeback, Event, Greeting, Received, Unsaid};
pub use look::{Bell, Color};
pub use screen::{harmless, render};
pub use session::Session;
pub use terminal::{Options, converse};
