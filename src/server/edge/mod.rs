//! The edges: other protocols on the connections of the server.
//!
//! An edge sees neither the room nor another client.

#[cfg(feature = "irc")]
pub mod irc;
pub mod proxy;
#[cfg(feature = "tls")]
pub mod tls;
#[cfg(feature = "web")]
pub mod web;
