//! What can happen to a room, and the rules that it holds everybody to.

use std::fmt;
use std::hint::black_box;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use super::admission::{ADDRESS_RECORD_BYTES, Admission, max_known};
use super::reserved_names::{RESERVED_NAME_BYTES, max_reserved};
use crate::protocol::{ClientLine, OtherProtocol, Request, RequestError};

/// A connection's number, in the order in which they came; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId(pub u64);

/// A secret of 128 bits, from the operating system, that proves to be a certain member.
#[derive(Clone, Copy)]
pub struct Token(pub [u8; 16]);

/// Where a connection comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A host and a port.
    Inet(IpAddr, u16),
    /// A unix socket of this machine.
    Unix,
}

/// The time, as the room's owner has it.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Since some fixed moment; never goes back.
    pub uptime: Duration,
    /// Milliseconds since 1970, for people to read; may jump.
    pub unix_ms: u64,
}

/// What can happen to a room.
#[derive(Debug)]
pub enum Input {
    /// A client has connected. It becomes a member with its first line, or when it has been
    /// silent for [`Config::hello_wait`].
    Arrive {
        /// Its number, larger than any before.
        id: MemberId,
        /// Where it is.
        peer: Peer,
        /// A secret for its welcome.
        token: Token,
    },
    /// It sent these lines.
    Lines {
        /// Who.
        id: MemberId,
        /// What, in order.
        lines: Vec<Result<ClientLine, RequestError>>,
    },
    /// It speaks something else.
    OtherProtocol {
        /// Who.
        id: MemberId,
        /// What it speaks.
        protocol: OtherProtocol,
    },
    /// It will send no more.
    Leave {
        /// Who.
        id: MemberId,
        /// Why.
        reason: DisconnectReason,
    },
    /// The server ends: everybody is told.
    Shutdown,
}

impl Input {
    /// Whether somebody asks for figures that [the room has to be told](super::Room::note).
    pub fn asks_for_stats(&self) -> bool {
        let asks = |line: &Result<ClientLine, RequestError>| {
            line.as_ref().is_ok_and(|line| matches!(line.request, Request::Stats))
        };
        matches!(self, Input::Lines { lines, .. } if lines.iter().any(asks))
    }
}

/// How a connection came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DisconnectReason {
    /// The client closed its side. It still gets what is on its way to it.
    Finished,
    /// The connection broke.
    Lost(io::ErrorKind),
    /// It read too slowly.
    Slow,
    /// The task that read from it panicked.
    Panicked,
}

impl fmt::Display for DisconnectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DisconnectReason::Finished => f.write_str("closed its side"),
            DisconnectReason::Lost(kind) => kind.fmt(f),
            DisconnectReason::Slow => f.write_str("read too slowly"),
            DisconnectReason::Panicked => f.write_str("its task panicked"),
        }
    }
}

/// What a room holds its members to.
#[derive(Clone, Debug)]
pub struct Config {
    /// Connections at once.
    pub max_clients: usize,
    /// Connections at once from one address; 0 is no limit.
    pub max_per_ip: usize,
    /// New connections a second from one address, after `connect_burst` at once; 0 is no limit.
    pub connect_rate: u32,
    /// New connections at once from one address, before the rate counts.
    pub connect_burst: u32,
    /// How long a client may be silent before it is a member under a name that it did not choose.
    pub hello_wait: Duration,
    /// With so many members, those who come and go are told of together: in at most so many
    /// notices a second.
    pub crowd: usize,
    /// Bytes of an answer that lists members; those who do not fit are counted.
    pub answer_bytes: usize,
    /// Frames kept.
    pub history: usize,
    /// Bytes of frames kept.
    pub history_bytes: usize,
    /// How long the name of a member is kept for it after it dropped, if it asked for that; zero
    /// is not at all.
    pub grace: Duration,
    /// Whether what is said is written to a file, for members to be told.
    pub stored: bool,
    /// The longest line, for the welcome to tell.
    pub max_line: u32,
    /// Lines a second, for the welcome to tell.
    pub rate: u32,
    /// Lines at once, for the welcome to tell.
    pub burst: u32,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            max_clients: 1000,
            max_per_ip: 64,
            connect_rate: 20,
            connect_burst: 100,
            hello_wait: Duration::from_millis(250),
            crowd: 64,
            answer_bytes: 128 << 10,
            history: 1000,
            history_bytes: 1 << 20,
            grace: Duration::from_secs(60),
            stored: false,
            max_line: 4096,
            rate: 10,
            burst: 40,
        }
    }
}

impl Config {
    /// The most memory, in bytes, that names kept for those who dropped and addresses that
    /// somebody came from may take.
    pub fn memory_of_the_absent(&self) -> usize {
        let kept = max_reserved(self.max_clients).saturating_mul(RESERVED_NAME_BYTES);
        kept.saturating_add(max_known(self.max_clients).saturating_mul(ADDRESS_RECORD_BYTES))
    }

    /// A table of addresses that holds to them.
    pub(super) fn addresses(&self) -> Admission {
        Admission::new(self.max_per_ip, self.connect_rate, self.connect_burst, self.max_clients)
    }
}

impl Token {
    /// Whether two tokens are the same, in a time that does not tell how much of them is.
    pub fn matches(&self, other: &Token) -> bool {
        let differences = self.0.iter().zip(&other.0).fold(0, |sum, (a, b)| sum | (a ^ b));
        black_box(differences) == 0
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
        // A secret has no business in a log.
        f.write_str("Token(…)")
    }
}

impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Self {
        // A client of IPv4 that came through a socket of IPv6 is still a client of IPv4.
        Peer::Inet(address.ip().to_canonical(), address.port())
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Peer::Inet(ip, port) => SocketAddr::new(ip, port).fmt(f),
            Peer::Unix => f.write_str("unix"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_as_it_is_written_and_fits_itself_alone() {
        let token = Token(*b"0123456789abcdef");
        let read: Token = token.to_string().parse().unwrap();
        assert!(token.matches(&read));
        assert!(!token.matches(&Token(*b"0123456789abcdeg")));
        for text in ["", "00", &"g".repeat(32), &"é".repeat(16)] {
            assert!(text.parse::<Token>().is_err(), "{text}");
        }
    }
}
