//! The inputs of a room, and the values in them.

use std::fmt;
use std::hint::black_box;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use super::Moderation;
use crate::protocol::{ByeCode, OtherProtocol, ParsedLine, Request};

/// The number of a client, the upper 24 bits of which are the number of its node. The numbers of a
/// node grow in the order of connecting and are never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "cluster", derive(serde::Serialize, serde::Deserialize))]
pub struct ClientId(pub u64);

/// The number of a node, below 2²⁴; 0 for a server that is not in a cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "cluster", derive(serde::Serialize, serde::Deserialize))]
pub struct NodeId(pub u32);

/// A secret of 128 random bits that identifies a member when it reconnects.
#[derive(Clone, Copy)]
pub struct Token(pub [u8; 16]);

/// The bytes that identify the member with a token: the token, or its hash if the bytes are sent to
/// other nodes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(
    feature = "cluster",
    derive(serde::Serialize, serde::Deserialize),
    serde(into = "String", try_from = "String")
)]
pub struct Credential(pub [u8; 16]);

/// The remote address of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// An IP address and a port.
    Inet(IpAddr, u16),
    /// The address and the port of a proxy that has not told the address of its client. No limit
    /// by address applies.
    Proxy(IpAddr, u16),
    /// The user of a process that is connected to a unix socket, or none for a proxy that has not
    /// told the address of its client.
    Unix(Option<u32>),
}

/// The time of an input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "cluster", derive(serde::Serialize, serde::Deserialize))]
pub struct Now {
    /// The time since a fixed start; it never goes back.
    pub uptime: Duration,
    /// Milliseconds since 1970, for the `time` of frames; it may jump.
    pub unix_ms: u64,
}

/// An input of a room.
#[derive(Debug)]
pub enum Input {
    /// A client has connected. It becomes a member with its first line, or after
    /// [`Config::hello_wait`](super::Config::hello_wait).
    Connect {
        /// The client's number, larger than any before.
        id: ClientId,
        peer: Peer,
        /// The token for the client's welcome.
        token: Token,
    },
    /// A client has sent lines.
    Lines {
        id: ClientId,
        /// The lines, in order.
        lines: Vec<ParsedLine>,
    },
    /// A client has sent the password, and lines.
    Authenticated { id: ClientId, lines: Vec<ParsedLine> },
    /// A client has sent the secret of an operator.
    Operator {
        id: ClientId,
        /// The label of the operator.
        label: Box<str>,
        /// The id of the line.
        line_id: Option<Box<str>>,
    },
    /// A client that has just connected is not admitted.
    Refuse {
        id: ClientId,
        code: ByeCode,
        /// The reason, for the client and the log.
        text: String,
    },
    /// The operators have changed: only those with these labels remain.
    KeepOperators(Vec<Box<str>>),
    /// The bans, the mutes, the lock and the topic are replaced.
    Moderation(Box<Moderation>),
    /// The wait for the first line of a client is over; ignored if a line was sent.
    HelloWaitOver { id: ClientId },
    /// A client speaks another protocol.
    OtherProtocol { id: ClientId, protocol: OtherProtocol },
    /// A client was sent an answer in another protocol, and its connection ends.
    #[cfg(any(feature = "web", feature = "irc", feature = "tls"))]
    Answered { id: ClientId },
    /// The connection of a client has ended, or the client was too slow. If a member asked for it,
    /// its name is reserved for it.
    Disconnect { id: ClientId, reason: DisconnectReason },
    /// The server shuts down.
    Shutdown,
}

impl Input {
    /// Returns the number of the client.
    #[cfg(feature = "cluster")]
    pub fn client_mut(&mut self) -> Option<&mut ClientId> {
        match self {
            Input::Connect { id, .. }
            | Input::Lines { id, .. }
            | Input::Authenticated { id, .. }
            | Input::Operator { id, .. }
            | Input::Refuse { id, .. }
            | Input::HelloWaitOver { id }
            | Input::OtherProtocol { id, .. }
            | Input::Disconnect { id, .. } => Some(id),
            #[cfg(any(feature = "web", feature = "irc", feature = "tls"))]
            Input::Answered { id } => Some(id),
            Input::KeepOperators(_) | Input::Moderation(_) | Input::Shutdown => None,
        }
    }

    /// Returns whether a line requests the statistics, which
    /// [`set_server_stats`](super::Room::set_server_stats) has to set before.
    pub fn has_stats_request(&self) -> bool {
        matches!(self, Input::Lines { lines, .. } if has_stats_request(lines))
    }
}

/// Returns whether a line requests the statistics.
pub(super) fn has_stats_request(lines: &[ParsedLine]) -> bool {
    let is_stats =
        |line: &ParsedLine| line.as_ref().is_ok_and(|line| matches!(line.request, Request::Stats));
    lines.iter().any(is_stats)
}

/// The reason for which a client is disconnected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "cluster", derive(serde::Serialize, serde::Deserialize))]
pub enum DisconnectReason {
    /// The client closed its sending side. It is still sent all frames up to its bye.
    Finished,
    /// The connection failed with an error of this kind.
    Lost(#[cfg_attr(feature = "cluster", serde(with = "error_kind"))] io::ErrorKind),
    /// The connection ended, and the client may return soon: a page is reloaded, or a phone sleeps.
    /// If the client asked to have its name reserved, it stays a member for
    /// [`Config::grace`](super::Config::grace).
    Away,
    /// The client read too slowly.
    Slow,
    /// The keys of the connection are used up.
    #[cfg(any(feature = "tls", feature = "cluster"))]
    KeyLimit,
    /// The connection task panicked.
    Panicked,
}

impl fmt::Display for DisconnectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DisconnectReason::Finished => f.write_str("closed its side"),
            DisconnectReason::Lost(kind) => kind.fmt(f),
            DisconnectReason::Away => f.write_str("went away"),
            DisconnectReason::Slow => f.write_str("read too slowly"),
            #[cfg(any(feature = "tls", feature = "cluster"))]
            DisconnectReason::KeyLimit => f.write_str("its keys are used up"),
            DisconnectReason::Panicked => f.write_str("its task panicked"),
        }
    }
}

impl ClientId {
    /// The bits of the number of a client on its node.
    const NUMBER_BITS: u32 = 40;

    /// Creates the number of a client of a node. `number` is below 2⁴⁰.
    pub fn new(node: NodeId, number: u64) -> Self {
        ClientId(u64::from(node.0) << Self::NUMBER_BITS | number)
    }

    /// Returns the node of the client.
    pub fn node(self) -> NodeId {
        NodeId((self.0 >> Self::NUMBER_BITS) as u32)
    }
}

impl Credential {
    /// Returns whether two credentials are equal. The time taken does not depend on their bytes.
    pub fn matches(&self, other: &Credential) -> bool {
        Token(self.0).matches(&Token(other.0))
    }
}

impl From<Token> for Credential {
    fn from(token: Token) -> Self {
        Credential(token.0)
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // It may be a token.
        f.write_str("Credential(…)")
    }
}

#[cfg(feature = "cluster")]
impl From<Credential> for String {
    fn from(credential: Credential) -> Self {
        Token(credential.0).to_string()
    }
}

#[cfg(feature = "cluster")]
impl TryFrom<String> for Credential {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let token: Token = text.parse().map_err(|()| "a credential has 32 hexadecimal digits")?;
        Ok(Credential(token.0))
    }
}

impl Now {
    /// Returns the seconds since 1970.
    pub(crate) fn unix_seconds(self) -> u64 {
        self.unix_ms / 1000
    }
}

impl Token {
    /// Returns whether two tokens are equal. The time taken does not depend on their bytes.
    pub fn matches(&self, other: &Token) -> bool {
        // As one number: a member that reconnects is compared with all members.
        black_box(u128::from_ne_bytes(self.0) ^ u128::from_ne_bytes(other.0)) == 0
    }
}

impl FromStr for Token {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut token = Token([0; 16]);
        let digits = text.as_bytes();
        if digits.len() != 2 * token.0.len() {
            return Err(());
        }
        for (byte, pair) in token.0.iter_mut().zip(digits.chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| ())?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| ())?;
        }
        Ok(token)
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A secret must not be written to a log.
        f.write_str("Token(…)")
    }
}

impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Self {
        // An IPv4 client of an IPv6 listener has an IPv4-mapped address.
        Peer::Inet(address.ip().to_canonical(), address.port())
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Peer::Inet(ip, port) | Peer::Proxy(ip, port) => SocketAddr::new(ip, port).fmt(f),
            Peer::Unix(_) => f.write_str("unix"),
        }
    }
}

/// The kinds of errors of a connection as text. Others are written as [`ErrorKind::Other`].
#[cfg(feature = "cluster")]
mod error_kind {
    use std::io::ErrorKind;

    use serde::{Deserialize, Deserializer, Serializer};

    const KINDS: [ErrorKind; 7] = [
        ErrorKind::BrokenPipe,
        ErrorKind::ConnectionAborted,
        ErrorKind::ConnectionReset,
        ErrorKind::HostUnreachable,
        ErrorKind::NetworkUnreachable,
        ErrorKind::NotConnected,
        ErrorKind::TimedOut,
    ];

    pub fn serialize<S: Serializer>(kind: &ErrorKind, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(kind)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ErrorKind, D::Error> {
        let text = String::deserialize(deserializer)?;
        let kind = KINDS.into_iter().find(|kind| kind.to_string() == text);
        Ok(kind.unwrap_or(ErrorKind::Other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_round_trips_and_matches_only_itself() {
        let token = Token(*b"0123456789abcdef");
        let read: Token = token.to_string().parse().unwrap();
        assert!(token.matches(&read));
        assert!(!token.matches(&Token(*b"0123456789abcdeg")));
        for text in ["", "00", &"g".repeat(32), &"é".repeat(16)] {
            assert!(text.parse::<Token>().is_err(), "{text}");
        }
    }
}
