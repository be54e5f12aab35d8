//! The options of the program `smolchat`: the address, those of its session
//! ([`client::SessionConfig`](SessionConfig)), and those of the terminal.

use std::path::PathBuf;

use super::{Bell, Color};
use crate::client::{ReconnectPolicy, ServerAddress, SessionConfig};

/// The options of the client, as given on the command line and in the config file.
#[derive(Clone, Debug)]
pub struct Options {
    pub address: ServerAddress,
    pub config: SessionConfig,
    pub reconnect: ReconnectPolicy,
    /// Applies only to the client with a line editor, like `bell`, `has_timestamps`, `ignored` and
    /// `highlights`.
    pub color: Color,
    pub bell: Bell,
    pub has_timestamps: bool,
    /// The members whose lines are hidden.
    pub ignored: Vec<String>,
    /// Words that are highlighted like the name of the user.
    pub highlights: Vec<String>,
    /// Whether joins and leaves are shown.
    pub has_presence: bool,
    /// The file to which messages are appended.
    pub log: Option<PathBuf>,
}
