//! The error type of the program `smolchat`.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

use super::access::describe_remedy;
use crate::client;

/// An error that ends the program `smolchat`.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The session could not start, or ended with an error.
    Session(client::Error),
    /// The file with the known keys of servers cannot be read.
    KnownServers(PathBuf, io::Error),
    /// The user did not answer a question.
    Cancelled,
    /// The terminal cannot be used.
    Terminal(io::Error),
    /// Standard input cannot be read.
    Input(io::Error),
    /// Standard output cannot be written.
    Output(io::Error),
    /// Signals cannot be handled.
    Signals(io::Error),
    /// A signal with this number ended the program.
    Signal(i32),
    /// The session ended without an error, but this number of lines was refused.
    Refused(usize),
    /// The session ended with this error while this number of lines was refused or unconfirmed.
    Unconfirmed(usize, Box<client::Error>),
    /// The server answered none of this number of lines within the time limit.
    Unanswered(usize),
    /// The command of `--exec` could not be started, or its exit status could not be read.
    Command(io::Error),
    /// The command of `--exec` exited with a status other than 0, or was killed by a signal.
    Failed(ExitStatus),
}

impl Error {
    /// Returns the remedy for the error, if one is known.
    pub fn remedy(&self) -> Option<String> {
        let error = match self {
            Error::Session(error) => error,
            Error::Unconfirmed(_, error) => error,
            _ => return None,
        };
        describe_remedy(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Session(error) => error.fmt(f),
            Error::KnownServers(path, _) => write!(f, "cannot read {}", path.display()),
            Error::Cancelled => f.write_str("cancelled"),
            Error::Terminal(_) => f.write_str("the terminal cannot be used"),
            Error::Input(_) => f.write_str("cannot read standard input"),
            Error::Output(_) => f.write_str("cannot write to standard output"),
            Error::Signals(_) => f.write_str("cannot watch for signals"),
            Error::Signal(number) => write!(f, "ended by signal {number}"),
            Error::Refused(1) => f.write_str("one line was not accepted"),
            Error::Refused(count) => write!(f, "{count} lines were not accepted"),
            Error::Unconfirmed(1, _) => f.write_str("one line was not confirmed"),
            Error::Unconfirmed(count, _) => write!(f, "{count} lines were not confirmed"),
            Error::Unanswered(1) => f.write_str("one line was not confirmed in time"),
            Error::Unanswered(count) => write!(f, "{count} lines were not confirmed in time"),
            Error::Command(_) => f.write_str("cannot run the command"),
            Error::Failed(status) => write!(f, "the command failed, with {status}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            // The message is that of the session's error, so its cause is the cause of that error.
            Error::Session(error) => error.source(),
            Error::Unconfirmed(_, error) => Some(error),
            Error::KnownServers(_, error)
            | Error::Terminal(error)
            | Error::Input(error)
            | Error::Output(error)
            | Error::Signals(error)
            | Error::Command(error) => Some(error),
            Error::Cancelled
            | Error::Signal(_)
            | Error::Refused(_)
            | Error::Unanswered(_)
            | Error::Failed(_) => None,
        }
    }
}

impl From<client::Error> for Error {
    fn from(error: client::Error) -> Self {
        Error::Session(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_error_message_is_unchanged() {
        let lost = || client::Error::Lost(io::ErrorKind::TimedOut.into());
        let error = Error::from(lost());
        assert_eq!(error.to_string(), lost().to_string());
        let cause = std::error::Error::source(&error).unwrap();
        assert_eq!(cause.to_string(), io::Error::from(io::ErrorKind::TimedOut).to_string());
    }
}
