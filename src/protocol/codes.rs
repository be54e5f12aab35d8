//! The codes of errors and of the ends of connections.

use serde::{Deserialize, Serialize};

/// The reason for which a line from a client was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ErrorCode {
    /// The line is longer than [`Limits::max_line`](super::Limits::max_line); all of it is skipped.
    TooLong,
    /// The line is not UTF-8.
    NotUtf8,
    /// The line begins with `{` and is not JSON, or a key has a value of the wrong type.
    BadJson,
    /// The JSON object has neither `data` nor `hello`.
    NoKnownKey,
    /// The `id` is longer than 64 bytes.
    BadId,
    /// A private message has no text.
    Empty,
    /// The connection ended inside a line; the line is discarded.
    Unfinished,
    /// No command has this name.
    UnknownCommand,
    /// An argument of the command is missing or invalid.
    Usage,
    /// The name is [not valid](super::is_valid_name).
    BadName,
    /// Another member has the name.
    NameTaken,
    /// The name is reserved for a member whose connection was lost.
    NameKept,
    /// No member has the name.
    NoSuchUser,
    /// A hello came after the first line.
    LateHello,
    /// The server has a password, and the client has not sent it.
    PasswordRequired,
    /// The password, or the secret of an operator, is wrong.
    WrongPassword,
    /// Too many wrong passwords came from the address.
    TooManyTries,
    /// A password is accepted only over TLS, or from the machine of the server.
    TlsRequired,
    /// Only an operator may use the command.
    NotOperator,
    /// The command cannot be applied to this member or address.
    NotAllowed,
    /// An operator has muted the address of the member.
    Muted,
    /// The member sends more than [`Limits::rate`](super::Limits::rate): its lines are read more slowly and none is
    /// lost. Or the address opens too many connections: this one is closed.
    TooFast,
    /// A code that this version does not know.
    #[serde(other)]
    Unknown,
}

impl ErrorCode {
    /// Returns whether a secret was not accepted.
    #[cfg(feature = "irc")]
    pub(crate) fn is_about_secrets(self) -> bool {
        matches!(self, ErrorCode::WrongPassword | ErrorCode::TooManyTries | ErrorCode::TlsRequired)
    }
}

/// The reason for which the server closes a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ByeCode {
    /// The client sent `/quit` or closed its side of the connection.
    Quit,
    /// The client read too slowly and its outbox was full.
    Slow,
    /// The member resumed on another connection.
    Replaced,
    /// The server shuts down.
    Shutdown,
    /// The room is out of reach of this server; another server of the same room may reach it.
    Unreachable,
    /// The server has as many connections as it accepts, in all or from this address.
    Full,
    /// This address opens connections faster than the server accepts them.
    TooFast,
    /// The client sent too many invalid lines in a row.
    Errors,
    /// The client did not send the right password.
    Password,
    /// The client sent plain text, and has to use TLS.
    TlsRequired,
    /// The keys of the connection have encrypted as much as they may.
    KeyLimit,
    /// An operator ended the connection.
    Kicked,
    /// An operator has banned the address.
    Banned,
    /// An operator has locked the room: only members that return are admitted.
    Locked,
    /// The client sent a TLS handshake, which this port does not accept.
    Tls,
    /// The client sent an HTTP request, which this port does not accept.
    Http,
    /// The address belongs to a proxy, and the connection did not begin with a PROXY header.
    ProxyRequired,
    /// The client sent a PROXY header, which this port does not accept from its address.
    Proxy,
    /// The client sent the version line of SSH, which this port does not accept.
    Ssh,
    /// The client sent an IRC command, which this port does not accept.
    Irc,
    /// The client sent the first bytes of another protocol, which this port does not accept.
    OtherProtocol,
    /// A code that this version does not know.
    #[serde(other)]
    Unknown,
}

impl ByeCode {
    /// Returns the text that the server sends with this code.
    pub fn text(self) -> &'static str {
        match self {
            ByeCode::Quit => "goodbye",
            ByeCode::Slow => "you read too slowly and your queue is full; reconnect to resume",
            ByeCode::Replaced => "you resumed on another connection",
            ByeCode::Shutdown => "the server is shutting down",
            ByeCode::Unreachable => "the room is out of reach of this server; try another server",
            ByeCode::Full => "the server is full, or your address has too many connections",
            ByeCode::TooFast => "too many connections from your address; try again in a moment",
            ByeCode::Errors => "you sent too many invalid lines",
            ByeCode::Password => "the password is missing or wrong",
            ByeCode::TlsRequired => {
                "this port requires TLS: connect to tls:HOST with smolchat, or with ncat --ssl"
            }
            ByeCode::KeyLimit => "the keys of this connection are used up; reconnect to resume",
            ByeCode::Kicked => "you were kicked",
            ByeCode::Banned => "your address is banned",
            ByeCode::Locked => "the room is locked",
            ByeCode::Tls => "this port speaks plain text, not TLS",
            ByeCode::Http => "this port speaks the smolchat protocol, not HTTP",
            ByeCode::ProxyRequired => {
                "connections from your address must begin with a PROXY header"
            }
            ByeCode::Proxy => "this port does not accept a PROXY header from your address",
            ByeCode::Ssh => "this port speaks the smolchat protocol, not SSH",
            #[cfg(feature = "irc")]
            ByeCode::Irc => {
                "this port speaks the smolchat protocol, not IRC; --irc opens a port for IRC clients"
            }
            #[cfg(not(feature = "irc"))]
            ByeCode::Irc => "this port speaks the smolchat protocol, not IRC",
            ByeCode::OtherProtocol => {
                "this port speaks the smolchat protocol, and your client another one"
            }
            ByeCode::Unknown => "the server closes the connection",
        }
    }
}
