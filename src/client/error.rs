//! What ends a conversation before its time, or interrupts it.

use std::fmt;
use std::io;
use std::time::Duration;

use super::{ServerAddress, sanitize};

/// A conversation could not begin, or go on.
#[derive(Debug)]
pub enum Error {
    /// The server could not be reached.
    Connect(ServerAddress, io::Error),
    /// The connection broke, or nothing came over it any more.
    Lost(io::Error),
    /// The server closed the connection, and said why, if it did.
    Closed(Option<String>),
    /// Somebody else took this place in the room over, with its token.
    Replaced,
    /// The server had let us in as a guest before our hello came.
    LateHello,
    /// The server sent something that is not of the protocol.
    Protocol(serde_json::Error),
    /// The server could not be reached again for so long; the last attempt ended like this.
    GaveUp(Duration, Box<Error>),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Connect(address, _) => write!(f, "cannot connect to {address}"),
            Error::Lost(_) => f.write_str("lost the connection to the server"),
            // These are the server's own words, and errors end on a terminal.
            Error::Closed(Some(why)) => {
                write!(f, "the server closed the connection: {}", sanitize(why))
            }
            Error::Closed(None) => f.write_str("the server went away"),
            Error::Replaced => f.write_str("somebody else took this state in the room over"),
            Error::LateHello => f.write_str("the hello came too late"),
            Error::Protocol(_) => f.write_str("what answers there is no smolchat server"),
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
            Error::Closed(_) | Error::Replaced | Error::LateHello => None,
        }
    }
}

/// A line could not be said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendError {
    /// Too much waits to be answered already. [Receive](super::Session::receive) until it is less.
    Full,
    /// The session is to [end](super::Session::finish).
    Finished,
    /// It is an object that the server could not answer, for this reason.
    InvalidObject(String),
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SendError::Full => "too many lines wait to be answered",
            SendError::Finished => "nothing can be said any more",
            SendError::InvalidObject(why) => why,
        })
    }
}

impl std::error::Error for SendError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_words_of_a_server_are_shown_not_obeyed() {
        let error = Error::Closed(Some("go\u{1b}[2J\nsmolchat: all is well".into()));
        let shown = "the server closed the connection: go^[[2J^Jsmolchat: all is well";
        assert_eq!(error.to_string(), shown);
    }
}
