//! The options of a [`Session`](super::Session): its name, its history, and when it reconnects.
//!
//! They are for all programs that use the library. `app/options.rs` has those of `smolchat`.

use std::fmt;
use std::time::Duration;

use super::tls;

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
    pub(super) token: Option<Secret>,
    pub(super) password: Option<Secret>,
    pub(super) is_quiet: bool,
    pub(super) tls: tls::Settings,
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
        self.token = Some(Secret(token.into()));
        self
    }

    /// Sets the password of the server, which is sent at the start of each connection.
    ///
    /// Without TLS, everything on the way to the server can read it.
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.password = Some(Secret(password.into()));
        self
    }

    /// Adds a key that the server may have, for an address with `tls:`. The key of the server is
    /// then one of the added ones, or the session ends with
    /// [`Error::KeyChanged`](super::Error::KeyChanged) before anything is sent.
    ///
    /// Without this, the certificate of the server has to be for the host of the address and of a
    /// CA that the system trusts: one of the file `$SSL_CERT_FILE`, or else of the usual file of
    /// the system. Otherwise the session ends with
    /// [`Error::UnknownKey`](super::Error::UnknownKey). With it, the certificate may be for any
    /// host and time.
    ///
    /// # Examples
    ///
    /// ```
    /// use smolchat::client::{Fingerprint, SessionConfig};
    ///
    /// // The line `tls key` that smolchatd prints when it starts.
    /// let key: Fingerprint = "SHA256:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0".parse()?;
    /// let config = SessionConfig::new("alice").tls_pin(key);
    /// # Ok::<(), smolchat::client::InvalidFingerprint>(())
    /// ```
    #[cfg(feature = "tls")]
    pub fn tls_pin(mut self, key: crate::tls::Fingerprint) -> Self {
        self.tls.pins.push(key);
        self
    }

    /// Returns whether a key was added.
    #[cfg(feature = "tls")]
    pub(crate) fn has_tls_pins(&self) -> bool {
        !self.tls.pins.is_empty()
    }

    /// Returns the configuration for another server, which does not get the secrets of this one.
    #[cfg(feature = "editor")]
    pub(crate) fn for_another_server(self) -> Self {
        SessionConfig { token: None, password: None, tls: tls::Settings::default(), ..self }
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

/// A token or a password. `Debug` does not print it.
#[derive(Clone)]
pub(super) struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
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
    fn secrets_are_not_in_debug_output() {
        let config = SessionConfig::new("alice").token("secret").password("secret");
        assert!(!format!("{config:?}").contains("secret"));
    }
}
