//! The client library, for bots and other programs that join a room.
//!
//! A [`Session`] joins a room, sends lines and receives events. If its connection is lost, it
//! reconnects, receives the frames that it missed, and sends again the lines that were not
//! answered. The [documentation of the crate](crate#a-bot) has a bot that answers private lines.
//!
//! # Examples
//!
//! This client sends a line, and waits until the server confirms it:
//!
//! ```
//! use smolchat::client::{ReconnectPolicy, Session, SessionConfig, SessionEvent};
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
//! # let client = async {
//! let address = "127.0.0.1:8080";
//! # let address = server_address.as_str();
//! let config = SessionConfig::new("alice");
//! let mut session = Session::connect(address, config, ReconnectPolicy::Never).await?;
//! let id = session.send("hello")?;
//! while let Some(event) = session.receive().await? {
//!     if let SessionEvent::Received(received) = event
//!         && received.in_reply_to.as_ref() == Some(&id)
//!     {
//!         assert_eq!(received.frame.data, "hello");
//!         break;
//!     }
//! }
//! # Ok(())
//! # };
//! # smol::block_on(client.or(server))
//! # }
//! ```

mod address;
mod backoff;
mod bounds;
mod config;
mod connect;
mod error;
mod event;
mod keepalive;
mod link;
mod long_line;
mod name_reclaim;
mod pending_lines;
mod resume_state;
mod sanitize;
mod session;
mod targets;
#[cfg(feature = "tls")]
mod tls;
#[cfg(not(feature = "tls"))]
#[path = "tls_disabled.rs"]
mod tls;

pub use address::{InvalidAddress, ServerAddress};
pub use config::{ReconnectPolicy, SessionConfig};
pub use error::{Error, SendError};
pub use event::{ReceivedFrame, SessionEvent};
#[cfg(feature = "editor")]
pub(crate) use sanitize::is_invisible;
pub use sanitize::sanitize;
pub use session::Session;

#[cfg(feature = "tls")]
pub use crate::tls::{Fingerprint, InvalidFingerprint};
