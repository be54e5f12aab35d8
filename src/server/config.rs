//! The configuration of a server.

use super::connection::MAX_READ_BYTES;
use super::edge::proxy::TrustedProxy;
use super::listener::Buffers;
use crate::room::{self, Snapshot};
use crate::status::StatusObserver;
use crate::store::HistoryFile;

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
    /// Events that may wait for the room. If there are more, connection tasks wait. Default: 256.
    pub events: usize,
    /// The proxies whose connections begin with a PROXY header, which has the address of the client.
    /// Default: none.
    pub trusted_proxies: Vec<TrustedProxy>,
    /// The socket buffers of the kernel.
    pub buffers: Buffers,
    #[doc(hidden)]
    /// The history file and the snapshot that was read from it: the room continues from the
    /// snapshot, and every batch is written to the file before it is delivered. Default: none.
    pub history: Option<(HistoryFile, Snapshot)>,
    /// An observer of the room's state. Default: none.
    pub observer: Option<StatusObserver>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            room: room::Config::default(),
            outbox: 256 * 1024,
            read_bytes: MAX_READ_BYTES,
            events: 256,
            trusted_proxies: Vec::new(),
            buffers: Buffers::default(),
            history: None,
            observer: None,
        }
    }
}
