//! smolchat is a group-chat room on the smol runtime, small enough for a router.
//!
//! `smolchatd` is the server: all its clients are in one room, and every line of one member reaches
//! all members, in one order. `smolchat` is the client for a terminal. This crate has both, and
//! three modules for other programs:
//!
//! - [`client`]: the session library for bots. Start at [`client::Session`].
//! - [`protocol`]: the wire format, for programs that connect in their own way.
//! - [`server`]: [`server::run`] runs a server inside another program.
//!
//! # A bot
//!
//! This bot sends each private line back to its author:
//!
//! ```
//! use smolchat::client::{ReconnectPolicy, Session, SessionConfig, SessionEvent};
//! use smolchat::protocol::Body;
//! # use futures_lite::{FutureExt, stream};
//! # use smolchat::server::{self, Buffers, Control, Listener};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let listener = Listener::bind(&"127.0.0.1:0".parse()?, Buffers::default())?;
//! # let server_address = listener.to_string();
//! # let controls = stream::pending::<Control>();
//! # let server = async {
//! #     server::run(vec![listener], server::Config::default(), controls).await?;
//! #     Err("the server ended".into())
//! # };
//! # let bot = async {
//! let address = "127.0.0.1:8080";
//! # let address = server_address.as_str();
//! let config = SessionConfig::new("echo").keep_name(true);
//! let mut session = Session::connect(address, config, ReconnectPolicy::Always).await?;
//! # let mut bob =
//! #     Session::connect(address, SessionConfig::new("bob"), ReconnectPolicy::Never).await?;
//! # bob.send_private("echo", "hi")?;
//! # let answer = async {
//! #     while let Some(event) = bob.receive().await? {
//! #         let SessionEvent::Received(received) = event else { continue };
//! #         if received.frame.data_source == "echo" && received.frame.data == "hi" {
//! #             return Ok(());
//! #         }
//! #     }
//! #     Err("there was no answer".into())
//! # };
//! # let receive = async {
//! while let Some(event) = session.receive().await? {
//!     let SessionEvent::Received(received) = event else { continue };
//!     let frame = received.frame;
//!     let is_private = matches!(frame.body, Body::Private { .. });
//!     if is_private && frame.data_source != session.name() {
//!         session.send_private(&frame.data_source, &frame.data)?;
//!     }
//! }
//! # Ok(())
//! # };
//! # answer.or(receive).await
//! # };
//! # smol::block_on(bot.or(server))
//! # }
//! ```
//!
//! The comparison with `session.name()` is needed because the server sends a copy of each private
//! line to its sender.
//!
//! # Layout
//!
//! Each module imports only from those above it.
//!
//! - `os`: queries to the operating system.
//! - `rate_limit`, `calendar`, `error`: the rate limiter, dates, and the printing of errors.
//! - `tls`: the algorithms of TLS, with the feature `tls`.
//! - [`protocol`]: the wire: frames, requests, lines and names.
//! - `room`: the members, their names, and the sequence of frames. Pure: no I/O and no clock.
//! - `store`: the history file, and the file of the bans.
//! - `status`: reports about the room to an observer outside.
//! - `cluster`: the log that the servers of one room share, with the feature of this name.
//! - [`server`]: the accept loop, the connection tasks, the broadcaster and the outboxes.
//! - `daemon`: the service manager and the log.
//! - [`client`]: the session library. It imports `protocol` and `tls` alone.
//! - `cli`: the options of both programs. It imports none of the above.
//! - `app`: the program `smolchat`.
//!
//! # One line from socket to socket
//!
//! A line arrives at a socket. The connection task splits it off, parses it as a
//! [`ClientLine`](protocol::ClientLine) and sends it over one bounded channel. The broadcaster
//! takes it, with all others that wait, and applies it to the room, which gives it a number and
//! encodes it once, behind the others of the same batch. The broadcaster then writes the batch to
//! the socket of each member, without waiting and without a copy. Bytes that a socket does not take
//! wait in that member's outbox until there is room; if they exceed a limit, the member is closed.
//!
//! Tasks of the server share the channel, the two sides of one connection its socket, and connection
//! tasks the rate limiters of their address, the secrets, and the permits for handshakes of TLS. All
//! tasks run on one thread, so the server has no lock.
//!
//! `docs/design.md` in the repository follows the line file by file, with the reasons.

#[cfg(not(target_os = "linux"))]
compile_error!("smolchat runs on Linux only: it uses pidfd_getfd, TCP_USER_TIMEOUT and /proc");

#[doc(hidden)]
pub mod app;
mod calendar;
#[doc(hidden)]
pub mod cli;
pub mod client;
#[cfg(feature = "cluster")]
#[doc(hidden)]
pub mod cluster;
#[doc(hidden)]
pub mod daemon;
mod error;
#[doc(hidden)]
pub mod os;
pub mod protocol;
mod rate_limit;
#[doc(hidden)]
pub mod room;
pub mod server;
mod status;
#[doc(hidden)]
pub mod store;
#[cfg(feature = "tls")]
#[doc(hidden)]
pub mod tls;

#[doc(hidden)]
pub use error::report_error;
