//! How a session begins, and what it does when its link is lost.

use std::time::Duration;

/// Who to be, and what to be shown on arrival.
#[derive(Clone, Debug, Default)]
pub struct SessionConfig {
    /// The name to ask for; the server gives one otherwise.
    pub name: Option<String>,
    /// How many past frames to be shown.
    pub history: usize,
    /// Ask the server to keep the name for a while when the link is lost.
    pub keep: bool,
}

/// What to do when the link is lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReconnectPolicy {
    /// End with an error.
    Never,
    /// Come back, but give up when there was no link for so long at a stretch.
    Within(Duration),
    /// Come back.
    #[default]
    Always,
}
