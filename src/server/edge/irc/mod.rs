//! The IRC edge: clients of IRC are members of the room, which is one channel. No I/O and no clock.
//!
//! The lines of a client are parsed as [`Message`]s. A [`Session`] turns each of them into actions:
//! replies, and lines for the room. The frames of the room become lines of IRC: those for all
//! members once for each [`Variant`] that a client reads ([`Lines::encode`]), those for one client
//! by its session. A session knows the room through a [`Directory`] only.

mod capabilities;
mod commands;
mod config;
mod delivery;
mod history;
mod memory;
mod message;
mod output;
mod passwords;
mod queries;
mod session;
mod text;
mod wire;

pub use capabilities::Capabilities;
pub use config::{Config, is_channel_name, is_server_name};
pub use delivery::{Part, error_line, relay_line};
pub use memory::{CLIENT_BYTES, LINE_BYTES, MAX_DEPARTURES, MAX_GROWTH, MAX_NOTICES, SHARED_BYTES};
pub use message::{Command, MAX_LINE, MAX_MESSAGE, Message, MessageError, ParsedMessage};
pub use output::{Action, Departure, ProfileChange, View};
pub(crate) use passwords::{PASSWORD_BYTES, Passwords};
pub use session::{Directory, Environment, Member, Profile, Session, Settings};
pub use wire::{Context, Frame, Lines, MAX_LINES, Span, SpanKind, Variant};
