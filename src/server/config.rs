//! The configuration of a server.

use super::connection;
use super::listener::Buffers;
use super::status::StatusObserver;
use crate::room::{self, Snapshot};
use crate::store::HistoryFile;

/// What a server allows.
#[derive(Debug)]
pub struct Config {
    /// The rules of the room.
    pub room: room::Config,
    /// Bytes that may wait for one member.
    pub outbox: usize,
    /// Bytes read from a client at once; at most [`READ_BYTES`](connection::READ_BYTES).
    pub read_bytes: usize,
    /// Events that may wait for the room, before those who send them do.
    pub events: usize,
    /// What the kernel may hold for each connection.
    pub buffers: Buffers,
    /// Where the room is kept across restarts, and what was there.
    pub past: Option<(HistoryFile, Snapshot)>,
    /// Who is told how the room is.
    pub observer: Option<StatusObserver>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            room: room::Config::default(),
            outbox: 256 * 1024,
            read_bytes: connection::READ_BYTES,
            events: 256,
            buffers: Buffers::default(),
            past: None,
            observer: None,
        }
    }
}
