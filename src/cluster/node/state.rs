//! The requests and the states of a node.

use std::time::Duration;

use super::super::appender::Outgoing;
use super::super::membership::NodeNumber;

/// A request of the node to its caller.
#[derive(Clone, Debug, PartialEq)]
pub enum NodeAction {
    /// Publish an entry, and pass a failure to [`Node::on_publish_failed`](super::Node::on_publish_failed).
    Publish(Outgoing),
    /// Open the stream again, and pass the result to [`Node::open`](super::Node::open).
    Open,
    /// Make a snapshot with [`Node::snapshot`](super::Node::snapshot), write it, and pass the result to
    /// [`Node::on_snapshot_written`](super::Node::on_snapshot_written).
    WriteSnapshot,
}

/// The state of the room after [`Node::open`](super::Node::open).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Opened {
    /// The room stays as it is.
    Kept,
    /// The room is that of the snapshot.
    Restored,
    /// The room is empty, and its epoch comes with the log.
    Blank,
}

/// The state of a node, for its caller.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum NodeState {
    /// The node reads the log, or waits for its first entry to be read.
    Starting,
    /// The node is in the room.
    Inside(NodeNumber),
    /// The node was in the room and is out of it: it ended, its lease is over, another node has its
    /// name, or a new epoch began. [`Node::restart`](super::Node::restart) lets it enter again.
    Outside,
    /// The node cannot be in the room, for these reasons: its options differ from those of the others,
    /// or there are too many nodes.
    Refused(Vec<String>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Phase {
    /// Waits for [`Node::open`](super::Node::open).
    Closed,
    /// Has to open the stream.
    Reopening,
    /// Reads up to this position, which was the last one.
    Reading(u64),
    /// Waits for a snapshot, which another node has to write.
    Asking {
        until: Duration,
        next_check: Duration,
    },
    /// Waits for the own [`LogEvent::Reset`].
    Resetting,
    /// Waits for the own [`LogEvent::Up`].
    Entering,
    Inside(NodeNumber),
    Outside,
    Refused,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum SnapshotState {
    /// No snapshot is written before this time.
    Idle(Duration),
    Writing,
    /// The snapshot of this position is stored. The event in the log is not read yet.
    Stored(u64),
}
