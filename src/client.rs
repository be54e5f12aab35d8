//! The client: a [`Session`] with a room, and what the program `smolchat` makes of it.
//!
//! It knows the [protocol](crate::protocol) and nothing else of the server. From the outside in:
//!
//! - [`converse`] is the program `smolchat`: a session between standard input and output, with
//!   [`render`] for what a person sees of a frame.
//! - [`Session`] is for programs: connect, say, receive, finish. It comes back by itself when the
//!   link is lost, and [its module](session) says what that means for what was said.
//! - Below it, each with no knowledge of the others: the place in the room's sequence, the ledger
//!   of lines that were not answered yet, the link that carries lines, its pulse, and the pauses
//!   between one try and the next.

mod address;
mod backoff;
mod clock;
mod error;
mod event;
mod ledger;
mod link;
mod place;
mod pulse;
mod screen;
pub mod session;
mod terminal;

pub use address::Address;
pub use clock::Clock;
pub use error::Error;
pub use event::{Comeback, Event, Greeting, Received, Unsaid};
pub use screen::{harmless, render};
pub use session::Session;
pub use terminal::{Options, converse};
