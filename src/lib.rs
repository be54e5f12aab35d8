//! A group-chat room on the smol runtime, small enough for a router.
//!
//! `smolchatd` is the server: everybody who connects is in one room, and every line that one
//! member sends reaches every member, at once and in one order. `smolchat` is the client for a
//! terminal. Both are thin; what they do is here.
//!
//! # Layout
//!
//! In reading order; each module imports only from those above it.
//!
//! - [`system`]: what is asked of the operating system.
//! - [`protocol`]: the wire. What clients and servers send, as text in and text out.
//! - [`history_file`]: what a room keeps across restarts, if it is asked to.
//! - [`room`]: who is here, what is said and in which order. Pure: no sockets, no clock.
//! - [`outbox`]: a member's way out. Written to at once; queues only while a member is behind.
//! - [`recorder`]: the way to the history file, beside the room, so that no disk stops it.
//! - [`broadcaster`]: the one task that owns the room and all outboxes.
//! - [`connection`]: one client's way in. Bytes to lines to events.
//! - [`listener`] and [`server`]: where clients connect, and the life of the whole.
//! - [`logger`]: the log of the server, which nobody has to read.
//! - [`memory`]: what a server may take at worst, and what fits into a budget.
//! - [`activation`] and [`notify`]: what a service manager hands over, and what it is told.
//! - [`client`]: the other end. It knows [`protocol`] and nothing else of the above.
//! - [`options`]: what the options of the two programs are called and do. It knows none of the
//!   above.
//!
//! # One message's way through
//!
//! A line arrives at a socket and wakes its [`connection`] task, which cuts it out of the bytes,
//! understands it as a [`ClientLine`](protocol::ClientLine) and sends it as an
//! [`Event`](room::Event) over the one bounded channel. The [`broadcaster`] takes it, with all
//! others that wait, and lets the [`Room`](room::Room) give it a number and encode it, once,
//! behind the others into one [`Chunk`](room::Chunk). That same chunk is then written to the
//! socket of each member, without waiting and without a copy. Where a socket is full, the rest
//! stays in that member's [`Outbox`](outbox::Outbox) until there is room, or until it is more
//! than may wait: then the member is closed, and nobody else has noticed.
//!
//! Nothing is shared between tasks but the channel and, between the two ends of one connection,
//! its socket; so there is no lock in this crate.

use std::error::Error;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

pub mod activation;
pub mod broadcaster;
pub mod client;
pub mod connection;
pub mod history_file;
pub mod listener;
pub mod logger;
pub mod memory;
pub mod notify;
pub mod options;
pub mod outbox;
pub mod protocol;
pub mod recorder;
pub mod room;
pub mod server;
pub mod system;

/// Prints `program: error: its cause: …` as one line on standard error, and gives the exit code.
pub fn complain(program: &str, error: &dyn Error, code: u8) -> ExitCode {
    let mut line = format!("{program}: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(line, ": {error}");
        cause = error.source();
    }
    // If nobody listens, the exit code still speaks.
    let _ = writeln!(std::io::stderr(), "{line}");
    ExitCode::from(code)
}
