//! The options of a [`Session`](super::Session): its name, its history, and when it reconnects.
//!
//! They are for all programs that use the library. `app/options.rs` has those of `smolchat`.

use std::fmt;
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
    pub(super) reclaim_name: bool,
    pub(super) require_name: bool,
    pub(super) token: Option<ResumeToken>,
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

    /// Returns the name that the session asks the server for.
    pub(crate) fn requested_name(&self) -> Option<&str> {
        self.name.as_deref()
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

    /// Sets whether a session that got another name takes its own as soon as it is free, unless
    /// the application has sent `/nick` since. The default is `false`.
    pub fn reclaim_name(mut self, reclaim: bool) -> Self {
        self.reclaim_name = reclaim;
        self
    }

    /// Sets whether the session ends with [`Error::NameTaken`](super::Error::NameTaken) if the
    /// server assigns another name. No line is sent then. The default is `false`.
    pub fn require_name(mut self, require: bool) -> Self {
        self.require_name = require;
        self
    }

    /// Sets the token of an earlier session, from its last welcome: if the server still knows it,
    /// the new session becomes the same member.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(ResumeToken(token.into()));
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

/// A secret. `Debug` does not print it.
#[derive(Clone)]
pub(super) struct ResumeToken(pub String);

impl fmt::Debug for ResumeToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResumeToken(…)")
    }
}

/// The action of a session whose connection is lost.
///
/// It applies to the first connection only with [`Session::start`](super::Session::start). The
/// session waits for a random time between two attempts, at most 15 seconds.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_is_not_in_debug_output() {
        let config = SessionConfig::new("alice").token("secret");
        assert!(!format!("{config:?}").contains("secret"));
    }
}
