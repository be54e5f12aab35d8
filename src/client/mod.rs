//! The client library, for bots and other programs that join a room.
//!
//! A [`Session`] joins a room, sends lines and receives events. If its connection is lost, it
//! reconnects, receives the frames that it missed, and sends again the lines that were not
//! answered. This bot sends each private line back to its author:
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
mod session;

pub use address::ServerAddress;
pub use config::{ReconnectPolicy, SessionConfig};
pub use error::{Error, SendError};
pub use event::{ReceivedFrame, SessionEvent};
#[cfg(feature = "editor")]
pub(crate) use sanitize::is_invisible;
pub use sanitize::sanitize;
pub use session::Session;
