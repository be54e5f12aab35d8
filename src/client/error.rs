//! The errors of a session.

use std::fmt;
use std::io;
use std::time::Duration;

use super::{ServerAddress, sanitize};

/// An error that ends a session, or the reason why its connection is lost.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// No connection to this address could be made.
    Connect(ServerAddress, io::Error),
    /// The certificate of the server is of no known CA, and no key is pinned with
    /// `SessionConfig::tls_pin`. Nothing was sent.
    UnknownKey {
        /// The address of the server.
        address: ServerAddress,
        /// The fingerprint of its key, as `SHA256:…`.
        found: String,
        /// The reason why the certificate is not valid.
        cause: String,
    },
    /// The key of the server is not one of those that are pinned with `SessionConfig::tls_pin`.
    /// Nothing was sent.
    KeyChanged {
        /// The address of the server.
        address: ServerAddress,
        /// The fingerprints of the pinned keys, as `SHA256:…`.
        expected: Vec<String>,
        /// The fingerprint of its key.
        found: String,
    },
    /// The server needs a [password](super::SessionConfig::password), and the session has none.
    PasswordRequired,
    /// The server does not accept the [password](super::SessionConfig::password).
    WrongPassword,
    /// The connection failed, or the server did not answer a heartbeat in time.
    Lost(io::Error),
    /// The server closed the connection, with the text of its `bye` frame if it sent one.
    Closed(Option<String>),
    /// Another connection resumed the session with its token.
    Replaced,
    /// The server had already admitted this connection as a guest when the hello arrived.
    LateHello,
    /// The name is not free, and the server assigned another. This ends a session with
    /// [`SessionConfig::require_name`](super::SessionConfig::require_name).
    NameTaken {
        /// The name that the session asked for.
        requested: String,
        /// The name that the server assigned.
        assigned: String,
    },
    /// The server sent a line that is not a frame of the protocol.
    Protocol(serde_json::Error),
    /// [`Session::reconnect`](super::Session::reconnect) was called. This ends only a session with
    /// [`ReconnectPolicy::Never`](super::ReconnectPolicy::Never).
    ReconnectRequested,
    /// The session had no connection for this time, which is more than
    /// [`ReconnectPolicy::Within`](super::ReconnectPolicy::Within) allows. The second field is the
    /// error of the last attempt.
    GaveUp(Duration, Box<Error>),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Connect(address, _) => write!(f, "cannot connect to {address}"),
            Error::UnknownKey { address, found, cause } => {
                write!(f, "the key of {address} is not known, and {cause}: {found}")
            }
            Error::KeyChanged { address, expected, found } => {
                let expected = expected.join(" or ");
                write!(f, "the key of {address} has changed: expected {expected}, found {found}")
            }
            Error::PasswordRequired => f.write_str("the server needs a password"),
            Error::WrongPassword => f.write_str("the server does not accept the password"),
            Error::Lost(_) => f.write_str("lost the connection to the server"),
            // The text comes from the server, and this message is printed to a terminal.
            Error::Closed(Some(text)) => {
                write!(f, "the server closed the connection: {}", sanitize(text))
            }
            Error::Closed(None) => f.write_str("the server closed the connection"),
            Error::Replaced => f.write_str("another connection resumed this session"),
            Error::LateHello => f.write_str("the server received the hello too late"),
            Error::NameTaken { requested, assigned } => {
                let (requested, assigned) = (sanitize(requested), sanitize(assigned));
                write!(f, "the name {requested} is not free; the server assigned {assigned}")
            }
            Error::Protocol(_) => f.write_str("the server does not speak the smolchat protocol"),
            Error::ReconnectRequested => f.write_str("reconnect requested"),
            Error::GaveUp(after, _) => {
                write!(f, "gave up after {} s without a connection", after.as_secs())
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Connect(_, error) | Error::Lost(error) => Some(error),
            Error::Protocol(error) => Some(error),
            Error::GaveUp(_, error) => Some(error),
            Error::UnknownKey { .. }
            | Error::KeyChanged { .. }
            | Error::PasswordRequired
            | Error::WrongPassword
            | Error::Closed(_)
            | Error::Replaced
            | Error::LateHello
            | Error::NameTaken { .. }
            | Error::ReconnectRequested => None,
        }
    }
}

/// The reason why a [`Session`](super::Session) did not accept a line.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// Too many lines are pending. Call [`Session::receive`](super::Session::receive) until
    /// [`Session::has_capacity`](super::Session::has_capacity) returns `true`.
    Full,
    /// [`Session::finish`](super::Session::finish) was called, or `/quit` was sent.
    Finished,
    /// The JSON object has no valid `id`, so that its answer could not be recognised. The field is
    /// the message of the error.
    InvalidObject(String),
    /// The line is longer than the server accepts ([`Limits::max_line`](crate::protocol::Limits)),
    /// and it cannot be split.
    TooLong {
        /// The longest line that the server accepts, in bytes.
        max_bytes: usize,
    },
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SendError::Full => {
                f.write_str("too many lines are waiting for an answer of the server")
            }
            SendError::Finished => {
                f.write_str("the session is finishing and accepts no more lines")
            }
            SendError::InvalidObject(message) => f.write_str(message),
            SendError::TooLong { max_bytes } => {
                write!(f, "the line is longer than {max_bytes} bytes and was not sent")
            }
        }
    }
}

impl std::error::Error for SendError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closed_with_control_characters_is_sanitized() {
        let error = Error::Closed(Some("go\u{1b}[2J\nsmolchat: all is well".into()));
        let message = "the server closed the connection: go^[[2J^Jsmolchat: all is well";
        assert_eq!(error.to_string(), message);
    }
}
