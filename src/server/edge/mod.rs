//! The edges: other protocols on the connections of the server.
//!
//! The IRC edge sees the room and other clients through the trait `Channel` alone. The other edges see
//! neither.

#[cfg(feature = "irc")]
pub mod irc;
pub mod proxy;
#[cfg(feature = "tls")]
pub mod tls;
#[cfg(feature = "web")]
pub mod web;
