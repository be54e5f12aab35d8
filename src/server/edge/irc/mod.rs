//! The IRC edge: clients of IRC are members of the room, which is one channel. No I/O and no clock.
//!
//! An [`IrcSession`] answers the lines of one client with [`Replies`]. It sees and changes the room
//! through a [`Channel`] only. The frames of the room become lines of IRC: those for all members once
//! for each [`Variant`] that a client reads ([`Lines::encode`]), those for one client by its session.
//!
//! Functions with one caller are `#[inline(never)]`: inlined, they had one large stack frame, and the
//! static server was 2 KB larger.

mod capabilities;
mod channel;
mod commands;
mod config;
mod delivery;
mod history;
mod memory;
mod message;
mod notes;
mod operators;
mod passwords;
mod queries;
mod replies;
mod session;
mod text;
mod wire;

pub use channel::{Channel, ChannelMember, Profile};
pub use config::{Config, Settings, is_channel_name, is_server_name};
pub use delivery::ViewChange;
pub use memory::{CLIENT_BYTES, LINE_BYTES, MAX_GROWTH, SHARED_BYTES};
pub use message::{IrcCommand, MAX_LINE, MAX_MESSAGE, Message, parse_line};
pub use notes::Notes;
pub use operators::take_secret;
pub(crate) use passwords::{PASSWORD_BYTES, Passwords};
pub use replies::{Replies, error_line, relay_lines};
pub use session::IrcSession;
pub use wire::{Lines, MAX_LINES, RoomFrame, Span, SpanKind, Variant};
