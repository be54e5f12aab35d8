//! The program `smolchat`, on top of [`client::Session`](crate::client::Session).
//!
//! - [`run`] is the client for a person. On a terminal, with the feature `editor`, it is `tui`,
//!   which keeps the input line apart from the output; otherwise it is `pipe`.
//! - [`script::run`] is the client for scripts and bots. `exec` runs the command of a bot.
//! - `line_client` is the main loop of `pipe` and `script`: lines in, frames out to an `event_sink`.
//! - [`config_file`] reads the settings of the user. `token_store` keeps the token of a session,
//!   `known_servers` the keys of servers.
//! - `access` asks the user whether a key is trusted, and for a [`password`].

mod access;
mod alias;
mod appearance;
mod chat_log;
mod clock;
pub mod config_file;
mod end_signals;
mod error;
mod event_sink;
mod exec;
mod exec_input;
#[cfg(feature = "tls")]
mod known_servers;
mod line_client;
mod link_status;
mod options;
mod outage;
mod output;
pub mod password;
mod pipe;
mod render;
pub mod script;
mod stable_hash;
mod stdin;
#[cfg(test)]
mod temp_dir;
mod token_store;
#[cfg(feature = "editor")]
mod tui;
mod warning;
mod xdg;

use std::io::{self, IsTerminal};

pub use appearance::{Bell, Color};
pub use clock::Clock;
pub use error::Error;
pub use options::Options;
pub use render::render;
#[cfg(feature = "editor")]
#[doc(hidden)]
pub use tui::{SimulatedInput, simulate_terminal};

/// Connects to the server, sends the lines of the user and shows the frames of the room, until the
/// input or the session ends.
///
/// # Errors
///
/// Returns an error if the server cannot be reached, if the session fails or a signal ends it, or,
/// unless standard input is a terminal, if a line was refused.
pub fn run(mut options: Options) -> Result<(), Error> {
    access::add_known_keys(&mut options)?;
    let is_interactive = io::stdin().is_terminal();
    let has_echo = is_interactive && io::stdout().is_terminal() && has_control_sequences();
    #[cfg(feature = "editor")]
    if has_echo {
        return tui::run(options);
    }
    pipe::run(options, is_interactive, has_echo)
}

/// Returns whether the terminal executes control sequences, according to the variable `TERM`.
fn has_control_sequences() -> bool {
    const WITHOUT: [&str; 7] = ["", "cons25", "dialup", "dumb", "emacs", "network", "unknown"];
    let term = std::env::var("TERM").unwrap_or_default();
    !WITHOUT.iter().any(|without| term.eq_ignore_ascii_case(without))
}
