//! The messages of the log, and the steps that follow from them.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::super::entry::NodeInfo;
use super::super::membership::{DownReason, NodeNumber};

/// A message of the log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LogMessage {
    /// The number that the stream gave the message.
    pub seq: u64,
    /// The time that the stream gave the message, in milliseconds since 1970.
    pub unix_ms: u64,
    /// The entry.
    pub bytes: Box<[u8]>,
}

/// The time in the room at an entry.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct LogTime {
    /// Milliseconds since 1970. It can go back when another machine leads the stream.
    pub unix_ms: u64,
    /// Milliseconds since the epoch began. It never goes back.
    pub uptime_ms: u64,
}

/// A change that a node applies to its room.
#[derive(Clone, Debug, PartialEq)]
pub enum Step<C> {
    /// An epoch begins: the room is empty, and no node is in it.
    Reset {
        /// The new epoch.
        epoch: String,
    },
    /// A node is in the room.
    NodeUp {
        /// The number of the node.
        number: NodeNumber,
        /// The facts about the node.
        info: NodeInfo,
    },
    /// A node is out of the room, and its members leave.
    NodeDown {
        /// The number of the node.
        number: NodeNumber,
        /// The reason.
        reason: DownReason,
    },
    /// A command of a node in the room.
    Command {
        /// The number of the node.
        number: NodeNumber,
        /// The command.
        command: C,
    },
}

/// The writer of an entry.
#[derive(Clone, Debug, PartialEq)]
pub struct EntryWriter {
    /// The incarnation of the writer.
    pub inc: u64,
    /// The number of the entry.
    pub n: u64,
    /// When the stream of the entry was created.
    pub log: i64,
    /// The differences that keep a new node out.
    pub differences: Vec<String>,
}

/// An entry that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied<C> {
    /// The time in the room.
    pub time: LogTime,
    /// The changes, in their order.
    pub steps: Vec<Step<C>>,
    /// The writer, unless the message was no entry.
    pub writer: Option<EntryWriter>,
}

/// The reason why a replica cannot go on.
#[derive(Clone, Debug, PartialEq)]
pub enum ReadError {
    /// Messages are missing before the one that was read.
    Hole {
        /// The number that had to come.
        expected: u64,
        /// The number that came.
        found: u64,
        /// The epoch of this replica.
        epoch: Option<String>,
    },
    /// An entry has a version that this build does not know.
    UnknownVersion(u64),
    /// The room differs from that of a node, or the log lost entries that the node had read.
    Diverged {
        /// The name of the node, if it is in the room.
        node: Option<String>,
        /// The position of the difference.
        at: u64,
        /// The epoch of this replica.
        epoch: Option<String>,
    },
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hole { expected, found, .. } => {
                write!(f, "the log has entry {found} after entry {}", expected.saturating_sub(1))
            }
            Self::UnknownVersion(version) => write!(f, "the log has entries of version {version}"),
            Self::Diverged { node, at, .. } => {
                let node = node.as_deref().unwrap_or("that has left");
                write!(f, "the room differs from that of node {node} at entry {at}")
            }
        }
    }
}
