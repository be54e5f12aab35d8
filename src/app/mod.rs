//! The program `smolchat`: what it makes of a [`Session`](crate::client::Session).
//!
//! From the outside in:
//!
//! - [`run`] is a session between standard input and output, with
//!   [`render`] for what a person sees of a frame. At a terminal, with the feature `editor`, it is
//!   `tui`, which keeps what is typed apart from what arrives. [`script::run`] is the same for programs: lines of
//!   JSON, a few lines from the command line, or a command that takes part. What a person always
//!   wants is in the file of [`config_file`].

mod appearance;
mod clock;
pub mod config_file;
mod error;
mod pipe;
mod render;
pub mod script;
#[cfg(feature = "editor")]
mod tui;

pub use appearance::{Bell, Color};
pub use clock::Clock;
pub use error::Error;
pub use pipe::{Options, run};
pub use render::render;
