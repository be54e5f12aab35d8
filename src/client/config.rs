//! The options of a [`Session`](super::Session): its name, its history, and when it reconnects.
//!
//! They are for all programs that use the library. `app/options.rs` has those of `smolchat`.

use std::time::Duration;

/// The name that a session asks for, and the history that it receives when it joins.
///
/// By default there is no name, no history, the name is not kept, and the other members are told
/// that the session joins and leaves.
///
/// # Examples
///
/// ```
/// use smolchat::client::SessionConfig;
///
/// let config = SessionConfig::new("alice").history(20).keep_name(true);
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct SessionConfig {
    pub(super) name: Option<String>,
    pub(super) history: usize,
    pub(super) keep_name: bool,
    pub(super) is_quiet: bool,
}

impl SessionConfig {
    /// Creates a configuration with a name and the default of everything else.
    ///
    /// If the name is taken or invalid, the server assigns a free one, which
    /// [`Session::name`](super::Session::name) returns. Without a name
    /// ([`SessionConfig::default`]) it is `guest-` and a number.
    pub fn new(name: impl Into<String>) -> Self {
        SessionConfig::default().name(name)
    }

    /// Sets the name that the session asks the server for.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets how many past frames the server sends when the session first joins. The default is 0.
    ///
    /// They arrive with [`ReceivedFrame::is_past`](super::ReceivedFrame::is_past) set.
    pub fn history(mut self, frames: usize) -> Self {
        self.history = frames;
        self
    }

    /// Sets whether the server keeps the name for this session while it has no connection. The
    /// default is `false`.
    ///
    /// The server limits the time (option `--grace` of `smolchatd`, 60 seconds by default).
    pub fn keep_name(mut self, keep: bool) -> Self {
        self.keep_name = keep;
        self
    }

    /// Sets whether the other members are told neither that the session joins nor that it leaves.
    /// The default is `false`.
    ///
    /// They still see its lines, and the answer to `/who` lists it as quiet.
    pub fn quiet(mut self, is_quiet: bool) -> Self {
        self.is_quiet = is_quiet;
        self
    }
}

/// The action of a session whose connection is lost.
///
/// A session reconnects only after it has joined the room once. It waits for a random time between
/// two attempts, at most 15 seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReconnectPolicy {
    /// Ends with an error.
    Never,
    /// Reconnects, but ends with an error after this much time without a connection.
    Within(Duration),
    /// Reconnects without a limit.
    #[default]
    Always,
}

impl ReconnectPolicy {
    /// Returns the longest time without a connection after which a session still reconnects.
    pub(super) fn time_limit(self) -> Duration {
        match self {
            ReconnectPolicy::Never => Duration::ZERO,
            ReconnectPolicy::Within(limit) => limit,
            ReconnectPolicy::Always => Duration::MAX,
        }
    }
}
