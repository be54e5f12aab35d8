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
//! - [`os`]: what is asked of the operating system.
//! - [`protocol`]: the wire. What clients and servers send, as text in and text out.
//! - [`store`]: what a room keeps across restarts, if it is asked to.
//! - [`room`]: who is here, what is said and in which order. Pure: no sockets, no clock.
//! - [`outbox`](server::outbox): a member's way out. Written to at once; queues only while a member is behind.
//! - [`Recorder`](store::Recorder): the way to the history file, beside the room, so that no disk stops it.
//! - [`broadcaster`](server::broadcaster): the one task that owns the room and all outboxes.
//! - [`connection`](server::connection): one client's way in. Bytes to lines to events.
//! - [`listener`](server::listener) and [`server`]: where clients connect, and the life of the whole.
//! - [`logger`](daemon::logger): the log of the server, which nobody has to read.
//! - [`memory`](server::memory): what a server may take at worst, and what fits into a budget.
//! - [`activation`](daemon::activation) and [`notify`](daemon::notify): what a service manager hands over, and what it is told.
//! - [`client`]: the other end. It knows [`protocol`] and nothing else of the above.
//! - [`cli`]: what the options of the two programs are called and do. It knows none of the
//!   above.
//!
//! # One message's way through
//!
//! A line arrives at a socket and wakes its [`connection`](server::connection) task, which cuts it out of the bytes,
//! understands it as a [`ClientLine`](protocol::ClientLine) and sends it as an
//! [`Event`](room::Event) over the one bounded channel. The [`broadcaster`](server::broadcaster) takes it, with all
//! others that wait, and lets the [`Room`](room::Room) give it a number and encode it, once,
//! behind the others into one [`Chunk`](room::Chunk). That same chunk is then written to the
//! socket of each member, without waiting and without a copy. Where a socket is full, the rest
//! stays in that member's [`Outbox`](server::outbox::Outbox) until there is room, or until it is more
//! than may wait: then the member is closed, and nobody else has noticed.
//!
//! Nothing is shared between tasks but the channel and, between the two ends of one connection,
//! its socket; so there is no lock in this crate.

#[doc(hidden)]
pub mod app;
mod calendar;
#[doc(hidden)]
pub mod cli;
pub mod client;
pub mod daemon;
mod error;
pub mod os;
pub mod protocol;
mod rate_limit;
pub mod room;
pub mod server;
pub mod store;

pub use error::report_error;
