//! The configuration of a server.

use std::rc::Rc;
use std::time::Instant;

use super::address_limits::{ANSWER_FACTOR, ReadLimits};
use super::connection::MAX_READ_BYTES;
#[cfg(feature = "irc")]
use super::edge::irc;
#[cfg(feature = "tls")]
use super::edge::tls;
use super::listener::Buffers;
use super::secrets::{Plain, Secrets};
use super::trusted_proxy::TrustedProxy;
#[cfg(feature = "cluster")]
use crate::cluster::config::ClusterConfig;
use crate::rate_limit::Rate;
use crate::room::{self, Snapshot};
use crate::status::StatusObserver;
use crate::store::{BanFile, HistoryFile};

/// The limits and the parts of a server. `smolchatd` without options uses [`Config::default`].
///
/// # Examples
///
/// ```
/// let mut config = smolchat::server::Config::default();
/// config.room.max_clients = 20;
/// config.outbox = 64 << 10;
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Config {
    /// The limits of the room.
    pub room: room::Config,
    /// Bytes that may wait for one client. Default: 256 KiB.
    pub outbox: usize,
    /// Bytes in one read from a client, at most 16 KiB. Default: 16 KiB.
    pub read_bytes: usize,
    /// Lines per second from all clients of one address, after `address_burst` at once; 0 = no
    /// limit. Default: 40.
    pub address_rate: u32,
    /// Lines at once from all clients of one address. Default: 160.
    pub address_burst: u32,
    /// Bytes per second of the frames that all clients of one address cause, after
    /// `address_bytes_burst` at once; 0 = no limit. The answers to their requests have eight times
    /// as much. Default: 32 KiB.
    pub address_bytes: u32,
    /// Bytes at once of the frames that all clients of one address cause, at most half of `outbox`.
    /// Default: 128 KiB.
    pub address_bytes_burst: u32,
    /// Events that may wait for the room. If there are more, connection tasks wait. Default: 256.
    pub events: usize,
    /// The proxies whose connections begin with a PROXY header, which has the address of the client.
    /// Default: none.
    pub trusted_proxies: Vec<TrustedProxy>,
    /// The names by which a browser may reach the server, beside IP addresses and the names of a
    /// local network. Default: none.
    #[cfg(feature = "web")]
    pub web_hosts: Vec<String>,
    /// The settings for IRC clients.
    #[cfg(feature = "irc")]
    pub irc: irc::Config,
    /// The settings for TLS. Default: none, and no client can use it.
    #[cfg(feature = "tls")]
    pub tls: Option<tls::Config>,
    /// The socket buffers of the kernel.
    pub buffers: Buffers,
    #[doc(hidden)]
    /// The history file and the snapshot that was read from it: the room continues from the
    /// snapshot, and every batch is written to the file before it is delivered. Default: none.
    pub history: Option<(HistoryFile, Snapshot)>,
    /// The password and the secrets of the operators. Default: none.
    #[doc(hidden)]
    pub secrets: Secrets,
    /// Where plain text is accepted. Default: not set, which is everywhere, but secrets are accepted
    /// from the machine of the server alone.
    pub plain: Option<Plain>,
    /// The file of the bans and the topic. Default: none.
    #[doc(hidden)]
    pub ban_file: Option<BanFile>,
    /// The log that this server shares with the other nodes of its room. Default: none.
    #[cfg(feature = "cluster")]
    pub cluster: Option<ClusterConfig>,
    /// An observer of the room's state. Default: none.
    pub observer: Option<StatusObserver>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            room: room::Config::default(),
            outbox: 256 * 1024,
            read_bytes: MAX_READ_BYTES,
            address_rate: 40,
            address_burst: 160,
            address_bytes: 32 << 10,
            address_bytes_burst: 128 << 10,
            events: 256,
            trusted_proxies: Vec::new(),
            #[cfg(feature = "web")]
            web_hosts: Vec::new(),
            #[cfg(feature = "irc")]
            irc: irc::Config::default(),
            #[cfg(feature = "tls")]
            tls: None,
            buffers: Buffers::default(),
            history: None,
            secrets: Secrets::default(),
            plain: None,
            ban_file: None,
            #[cfg(feature = "cluster")]
            cluster: None,
            observer: None,
        }
    }
}

impl Config {
    /// Returns the most connections of proxies that are not clients yet, in addition to
    /// `max_clients`.
    pub(super) fn max_pending(&self, max_clients: usize) -> usize {
        if self.trusted_proxies.is_empty() { 0 } else { (max_clients / 4).max(16) }
    }

    /// Returns whether there can be bans and mutes: from operators of this server, from its file, or
    /// from other nodes.
    pub(super) fn has_bans(&self) -> bool {
        #[cfg(feature = "cluster")]
        if self.cluster.is_some() {
            return true;
        }
        self.room.operator_user.is_some() || self.secrets.has_operators() || self.ban_file.is_some()
    }

    /// Returns whether clients can use TLS.
    #[cfg_attr(not(feature = "tls"), expect(clippy::unused_self))]
    pub(super) fn has_tls(&self) -> bool {
        #[cfg(feature = "tls")]
        if self.tls.is_some() {
            return true;
        }
        false
    }

    /// Returns the most handshakes of TLS at the same time, with `max_clients`.
    #[cfg(feature = "tls")]
    pub(super) fn max_handshakes(&self, max_clients: usize) -> usize {
        let max = (max_clients / 4).clamp(8, tls::MAX_HANDSHAKES);
        if self.tls.is_some() { max } else { 0 }
    }

    /// Returns the limits on the input of clients, without secrets. `started` is the start of the
    /// rate limiters' time.
    pub(super) fn read_limits(&self, started: Instant) -> ReadLimits {
        // A burst must not fill the outbox of a client that is only slightly behind.
        let half_outbox = u32::try_from(self.outbox / 2).unwrap_or(u32::MAX);
        let answers = |bytes: u32| bytes.saturating_mul(ANSWER_FACTOR);
        #[cfg(feature = "tls")]
        let handshakes = self.max_handshakes(self.room.max_clients);
        ReadLimits {
            max_line: self.room.max_line,
            read_bytes: self.read_bytes.max(1),
            rate: Rate::new(self.room.rate, self.room.burst),
            address_lines: Rate::new(self.address_rate, self.address_burst),
            address_bytes: Rate::new(self.address_bytes, self.address_bytes_burst.min(half_outbox)),
            #[cfg(feature = "irc")]
            line_bytes: if self.irc.is_open { irc::LINE_BYTES } else { 0 },
            answer_bytes: Rate::new(answers(self.address_bytes), answers(self.address_bytes_burst)),
            #[cfg(feature = "web")]
            web_hosts: self.web_hosts.as_slice().into(),
            secrets: Rc::default(),
            plain: self.plain,
            #[cfg(feature = "tls")]
            tls: self.tls.clone().map(|tls| Rc::new(tls::Acceptor::new(tls, handshakes))),
            started,
        }
    }
}
