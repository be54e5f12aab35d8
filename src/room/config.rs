//! The configuration of a room.

use std::time::Duration;

use super::NodeId;
use super::admission::{
    ADDRESS_RECORD_BYTES, Admission, max_addresses, max_connections, max_visitors,
};
use super::reserved_names::{RESERVED_NAME_BYTES, max_reserved};
use crate::protocol::Limits;

/// The full nodes for which the members of a room suffice by default.
#[cfg(feature = "cluster")]
const DEFAULT_FULL_NODES: usize = 8;

/// The limits of a room.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Clients at the same time, without [visitors](Self::max_visitors). Default: 1000.
    pub max_clients: usize,
    /// Members at the same time of a room on several nodes. Default: 8 times `max_clients`.
    #[cfg(feature = "cluster")]
    pub max_members: Option<usize>,
    /// Clients at the same time from one address; 0 = no limit. Default: 64.
    pub max_per_ip: usize,
    /// New connections per second from one address, after `connect_burst` at once; 0 = no limit.
    /// Default: 20.
    pub connect_rate: u32,
    /// New connections at once from one address. Default: 100.
    pub connect_burst: u32,
    /// The time after which a client that has sent nothing becomes a member, with a name that the
    /// server chooses. Default: 250 ms.
    pub hello_wait: Duration,
    /// The number of members from which join and leave notices are gathered, and the most notices
    /// a second from then on. Default: 64.
    pub crowd: usize,
    /// The most bytes of a list of members; members that do not fit are counted. Default: 128 KiB.
    pub answer_bytes: usize,
    /// Frames in the history. Default: 1000.
    pub history: usize,
    /// Bytes of frames in the history. Default: 1 MiB.
    pub history_bytes: usize,
    /// The time for which the name of a member that lost its connection is reserved, if the member
    /// asked for that; zero = not at all. Default: 60 s.
    pub grace: Duration,
    /// Whether the history is written to a file; stated in the welcome. Default: false.
    pub is_stored: bool,
    /// The longest line in bytes; stated in the welcome. Default: 4096.
    pub max_line: u32,
    /// Lines per second from one client, after `burst` at once; 0 = no limit. Stated in the
    /// welcome. Default: 10.
    pub rate: u32,
    /// Lines at once from one client; stated in the welcome. Default: 40.
    pub burst: u32,
    /// Whether clients have to send a password before they become members. Default: false.
    pub has_password: bool,
    /// Handshakes of TLS of refused clients. Twice as many clients may wait for their first byte.
    /// Default: 0.
    #[cfg(feature = "tls")]
    pub max_refused: usize,
    /// The user whose peers of unix sockets are operators, beside root. Default: none.
    pub operator_user: Option<u32>,
    /// The message of the day, which a new member is sent after its welcome. Default: none.
    pub motd: Option<Box<str>>,
    /// The addresses for IRC clients, for the `bye` to a client that speaks IRC on another port.
    /// Default: none.
    #[cfg(feature = "irc")]
    pub irc_addresses: String,
}

/// The part of a [`Config`] on which the frames of the sequence depend. All nodes of a cluster
/// apply the same rules.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "cluster", derive(serde::Serialize, serde::Deserialize))]
pub struct Rules {
    /// See [`Config::crowd`].
    pub crowd: usize,
    /// See [`Config::history`].
    pub history: usize,
    /// See [`Config::history_bytes`].
    pub history_bytes: usize,
    /// See [`Config::grace`].
    pub grace: Duration,
    /// See [`Config::max_members`].
    #[cfg(feature = "cluster")]
    pub max_members: usize,
    /// The most reserved names.
    pub max_reserved: usize,
    /// The most reserved names of one address; 0 = no limit.
    pub max_reserved_per_ip: usize,
}

#[cfg(feature = "cluster")]
impl Rules {
    /// Returns each rule as text, with the option of `smolchatd` that sets it, for the message to a
    /// node whose rules differ.
    pub fn options(&self) -> [(&'static str, String); 7] {
        [
            ("--grace", self.grace.as_secs_f64().to_string()),
            ("--history", self.history.to_string()),
            ("--history-bytes", self.history_bytes.to_string()),
            ("--max-members", self.max_members.to_string()),
            ("--max-per-ip", self.max_reserved_per_ip.to_string()),
            ("notices a second, from --outbox:", self.crowd.to_string()),
            ("reserved names, from --max-clients:", self.max_reserved.to_string()),
        ]
    }
}

/// The part of a [`Config`] that a node states in the answers to its own clients.
#[derive(Clone, Debug)]
pub(super) struct AnswerConfig {
    /// The node. Clients of other nodes are not answered.
    pub node: NodeId,
    pub answer_bytes: usize,
    pub limits: Limits,
    /// The addresses of all nodes.
    #[cfg(feature = "cluster")]
    pub nodes: Vec<Box<str>>,
    pub motd: Option<Box<str>>,
    #[cfg(feature = "irc")]
    pub irc_addresses: String,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            max_clients: 1000,
            #[cfg(feature = "cluster")]
            max_members: None,
            max_per_ip: 64,
            connect_rate: 20,
            connect_burst: 100,
            hello_wait: Duration::from_millis(250),
            crowd: 64,
            answer_bytes: 128 << 10,
            history: 1000,
            history_bytes: 1 << 20,
            grace: Duration::from_secs(60),
            is_stored: false,
            max_line: 4096,
            rate: 10,
            burst: 40,
            has_password: false,
            #[cfg(feature = "tls")]
            max_refused: 0,
            operator_user: None,
            motd: None,
            #[cfg(feature = "irc")]
            irc_addresses: String::new(),
        }
    }
}

impl Config {
    /// Returns the most memory, in bytes, for clients that are not connected: reserved names and
    /// addresses.
    pub fn memory_for_absent_clients(&self) -> usize {
        let reserved = max_reserved(self.max_clients).saturating_mul(RESERVED_NAME_BYTES);
        let addresses = max_addresses(self.max_clients).saturating_mul(ADDRESS_RECORD_BYTES);
        reserved.saturating_add(addresses)
    }

    /// Returns the most visitors: clients for which there is no place, which wait until their first
    /// line shows whether they take over the place of a member.
    pub fn max_visitors(&self) -> usize {
        max_visitors(self.max_clients, self.has_password)
    }

    /// Returns the most connections with a place: of clients, and a quarter of that number, at least
    /// 16, that are ending.
    pub fn max_connections(&self) -> usize {
        max_connections(self.max_clients)
    }

    /// Returns the most members of a room on several nodes.
    #[cfg(feature = "cluster")]
    pub fn max_members(&self) -> usize {
        let max_default = self.max_clients.saturating_mul(DEFAULT_FULL_NODES);
        self.max_members.unwrap_or(max_default)
    }

    /// Returns the rules on which the frames of the sequence depend.
    pub fn rules(&self) -> Rules {
        Rules {
            crowd: self.crowd,
            history: self.history,
            history_bytes: self.history_bytes,
            grace: self.grace,
            #[cfg(feature = "cluster")]
            max_members: self.max_members(),
            max_reserved: max_reserved(self.max_clients),
            max_reserved_per_ip: self.max_per_ip,
        }
    }

    /// Returns the part for answers to the clients of a node.
    pub(super) fn answers(&self, node: NodeId, rules: &Rules) -> AnswerConfig {
        AnswerConfig {
            node,
            answer_bytes: self.answer_bytes,
            limits: Limits {
                max_line: self.max_line,
                rate: self.rate,
                burst: self.burst,
                history: rules.history,
                stored: self.is_stored,
            },
            #[cfg(feature = "cluster")]
            nodes: Vec::new(),
            motd: self.motd.clone(),
            #[cfg(feature = "irc")]
            irc_addresses: self.irc_addresses.clone(),
        }
    }

    /// Creates the table of addresses for these limits.
    pub(super) fn create_admission(&self) -> Admission {
        let rate = (self.connect_rate, self.connect_burst);
        Admission::new(self.max_clients, self.max_per_ip, rate, self.has_password)
    }
}

#[cfg(all(test, feature = "cluster"))]
mod tests {
    use super::*;

    #[test]
    fn options_differ_for_each_rule() {
        let rules = Config::default().rules();
        let others = [
            Rules { crowd: 1, ..rules.clone() },
            Rules { history: 1, ..rules.clone() },
            Rules { history_bytes: 1, ..rules.clone() },
            Rules { grace: Duration::from_millis(1), ..rules.clone() },
            Rules { max_members: 1, ..rules.clone() },
            Rules { max_reserved: 1, ..rules.clone() },
            Rules { max_reserved_per_ip: 1, ..rules.clone() },
        ];
        for other in others {
            assert_ne!(rules.options(), other.options(), "{other:?}");
        }
    }
}
