//! The replica: turns the messages of the log into the steps that each node applies to its room.
//!
//! All replicas that read the same messages return the same steps. Nothing here depends on the node,
//! its clock or the boundaries of reads.

mod step;

use std::collections::VecDeque;
use std::mem;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::entry::{
    DecodeError, Head, LogEntry, LogEvent, NodeInfo, Reset, SnapshotNotice, decode,
};
use super::membership::{DownReason, EntryRefusal, Membership, NodeNumber, NodeRecord};
use super::sum::{Digest, digest};

pub use step::{Applied, EntryWriter, LogMessage, LogTime, ReadError, Step};

/// The most milliseconds that pass in the room between two entries: after a pause of NATS, no lease is
/// over before its node could write.
const MAX_TIME_STEP: u64 = 2_000;
/// Positions whose hash is remembered, for comparisons with entries that were long on their way.
const MAX_SUMS: usize = 4096;
/// The most bytes of the remembered hashes.
pub const SUMS_BYTES: usize = MAX_SUMS * size_of::<(u64, u64)>();

/// The state of a log and of the nodes in the room. It is a part of each snapshot.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Replica {
    /// When the stream was created.
    log: i64,
    /// The number of the last message.
    position: u64,
    time: LogTime,
    /// `None` before the first [`LogEvent::Reset`].
    epoch: Option<String>,
    /// The position of that event. Entries that were written before it was read do not count.
    reset_at: u64,
    nodes: Membership,
    /// The running hash.
    sum: u64,
    /// Bytes of messages since the epoch began.
    log_bytes: u64,
    snapshot: Option<SnapshotNotice>,
    is_snapshot_wanted: bool,
    /// The hash at each of the last positions.
    #[serde(skip)]
    sums: VecDeque<(u64, u64)>,
}

impl Replica {
    /// Creates a replica without state, which ignores all messages up to the next [`LogEvent::Reset`].
    /// The message after `position` is its first.
    pub fn blank(log: i64, position: u64) -> Self {
        Replica { log, position, ..Replica::default() }
    }

    /// Returns the number of the last message that was applied.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Returns the state for the next entry of this node.
    pub fn head(&self) -> Head {
        Head { log: self.log, at: self.position, sum: self.sum }
    }

    /// Returns the time of the last entry.
    pub fn time(&self) -> LogTime {
        self.time
    }

    /// Returns the epoch, unless the replica has no state.
    pub fn epoch(&self) -> Option<&str> {
        self.epoch.as_deref()
    }

    /// Returns the nodes in the room.
    pub fn nodes(&self) -> impl Iterator<Item = (NodeNumber, &NodeRecord)> {
        self.nodes.nodes()
    }

    /// Returns the addresses of nodes that have left the room, the last first.
    pub fn former_addresses(&self) -> impl Iterator<Item = &str> {
        self.nodes.former_addresses()
    }

    /// Returns the number of the node with this incarnation, if it is in the room.
    pub fn number(&self, inc: u64) -> Option<NodeNumber> {
        self.nodes.find(inc).map(|(number, _)| number)
    }

    /// Returns the milliseconds since the last entry of a node, if it is in the room.
    pub fn silence_ms(&self, inc: u64) -> Option<u64> {
        let (_, record) = self.nodes.find(inc)?;
        Some(self.time.uptime_ms.saturating_sub(record.last_seen))
    }

    /// Returns the differences that would keep a node out of the room.
    pub fn differences(&self, info: &NodeInfo) -> Vec<String> {
        let other = self.nodes().find(|(_, record)| record.info.name != info.name);
        other.map_or(Vec::new(), |(_, other)| info.differences(&other.info))
    }

    /// Returns whether the node with this incarnation writes the snapshots: the first in the room.
    pub fn is_snapshot_writer(&self, inc: u64) -> bool {
        self.nodes.first().is_some_and(|(_, record)| record.inc == inc)
    }

    /// Returns the bytes of the log that are in no snapshot.
    pub fn bytes_since_snapshot(&self) -> u64 {
        self.log_bytes.saturating_sub(self.snapshot.map_or(0, |snapshot| snapshot.bytes))
    }

    /// Returns whether a node waits for a snapshot.
    pub fn is_snapshot_wanted(&self) -> bool {
        self.is_snapshot_wanted
    }

    /// Returns the position of the last snapshot that is stored.
    pub fn snapshot_position(&self) -> Option<u64> {
        self.snapshot.map(|snapshot| snapshot.position)
    }

    /// Returns the notice for a snapshot of the present state.
    pub fn snapshot_notice(&self) -> SnapshotNotice {
        SnapshotNotice { position: self.position, bytes: self.log_bytes }
    }

    /// Applies the next message. After `Ok(Some(…))`, the caller applies the steps to its room and
    /// calls [`Replica::add_effects`]. Returns `None` for a message that was applied before.
    ///
    /// # Errors
    ///
    /// Returns an error if the replica cannot apply the message. After [`ReadError::Hole`] and
    /// [`ReadError::Diverged`], it has no state.
    pub fn apply<C: DeserializeOwned>(
        &mut self,
        message: &LogMessage,
    ) -> Result<Option<Applied<C>>, ReadError> {
        let expected = self.position + 1;
        if message.seq < expected {
            return Ok(None);
        }
        if message.seq > expected {
            let epoch = self.lose_state(message.seq);
            return Err(ReadError::Hole { expected, found: message.seq, epoch });
        }
        let entry = match decode::<C>(&message.bytes) {
            Ok(entry) => Some(entry),
            Err(DecodeError::Malformed) => None,
            // Not of a node: each writes the newest version that all nodes in the room read.
            Err(DecodeError::UnknownVersion(version)) if self.nodes.has_older_node(version) => None,
            Err(DecodeError::UnknownVersion(version)) => {
                return Err(ReadError::UnknownVersion(version));
            }
        };
        if let Some(entry) = &entry {
            self.compare(entry, message.seq)?;
        }
        self.position = message.seq;
        self.log_bytes += message.bytes.len() as u64;
        self.advance_time(message.unix_ms);
        let mut steps = Vec::new();
        for number in self.nodes.expire(self.time.uptime_ms) {
            steps.push(Step::NodeDown { number, reason: DownReason::Expired });
        }
        let writer = entry.map(|entry| self.apply_entry(entry, message, &mut steps));
        Ok(Some(Applied { time: self.time, steps, writer }))
    }

    /// Adds the effects of the entry that was applied last to the running hash.
    pub fn add_effects(&mut self, effects: u64) {
        if self.epoch.is_none() {
            return;
        }
        let mut digest = Digest::new();
        for number in [self.sum, self.position, self.time.uptime_ms, effects] {
            digest.write_u64(number);
        }
        self.sum = digest.finish();
        if self.sums.len() >= MAX_SUMS {
            self.sums.pop_front();
        }
        self.sums.push_back((self.position, self.sum));
    }

    /// Prepares a replica that was read from a snapshot.
    pub(super) fn restored(mut self) -> Self {
        self.sums = [(self.position, self.sum)].into();
        self
    }

    /// Compares the state with that of the writer, whether or not its entry counts: a replica that
    /// differs may miss that its node, or that of the writer, is in the room.
    fn compare<C>(&mut self, entry: &LogEntry<C>, seq: u64) -> Result<(), ReadError> {
        if self.epoch.is_none()
            || entry.sum == 0
            || entry.log != self.log
            || entry.at < self.reset_at
        {
            return Ok(());
        }
        let index = self.sums.binary_search_by_key(&entry.at, |(position, _)| *position);
        let sum = index.ok().and_then(|index| self.sums.get(index)).map(|(_, sum)| *sum);
        if entry.at < seq && sum.is_none_or(|sum| sum == entry.sum) {
            return Ok(());
        }
        let node = self.nodes.find(entry.inc).map(|(_, record)| record.info.name.clone());
        let epoch = self.lose_state(seq);
        Err(ReadError::Diverged { node, at: entry.at, epoch })
    }

    /// Discards the state, and returns its epoch.
    fn lose_state(&mut self, position: u64) -> Option<String> {
        mem::replace(self, Replica::blank(self.log, position)).epoch
    }

    fn advance_time(&mut self, unix_ms: u64) {
        let passed = unix_ms.saturating_sub(self.time.unix_ms).min(MAX_TIME_STEP);
        self.time = LogTime { unix_ms, uptime_ms: self.time.uptime_ms + passed };
    }

    fn apply_entry<C>(
        &mut self,
        entry: LogEntry<C>,
        message: &LogMessage,
        steps: &mut Vec<Step<C>>,
    ) -> EntryWriter {
        let LogEntry { inc, n, log, at, events, .. } = entry;
        let is_current = log == self.log && at >= self.reset_at && at < message.seq;
        let result = if !is_current {
            Err(EntryRefusal::Stale)
        } else if n == 0 {
            self.apply_outside(inc, events, message, steps)
        } else {
            let accepted = self.nodes.accept(inc, n, self.time.uptime_ms);
            accepted.map(|number| self.apply_events(number, events, steps))
        };
        let differences = match result {
            Err(EntryRefusal::Differs(differences)) => differences,
            _ => Vec::new(),
        };
        EntryWriter { inc, n, log, differences }
    }

    /// Applies the entry of a node that is not in the room: it has one event.
    fn apply_outside<C>(
        &mut self,
        inc: u64,
        events: Vec<LogEvent<C>>,
        message: &LogMessage,
        steps: &mut Vec<Step<C>>,
    ) -> Result<(), EntryRefusal> {
        match events.into_iter().next() {
            Some(LogEvent::Reset(Reset { epoch })) => {
                *self = Replica {
                    time: LogTime { unix_ms: message.unix_ms, uptime_ms: 0 },
                    sum: digest(epoch.as_bytes()),
                    epoch: Some(epoch.clone()),
                    reset_at: message.seq,
                    ..Replica::blank(self.log, message.seq)
                };
                steps.clear();
                steps.push(Step::Reset { epoch });
                Ok(())
            }
            Some(LogEvent::Ask) => {
                self.is_snapshot_wanted = true;
                Ok(())
            }
            Some(LogEvent::Up(info)) if self.epoch.is_some() => {
                let (number, earlier) = self.nodes.add(inc, info.clone(), self.time.uptime_ms)?;
                if let Some(number) = earlier {
                    steps.push(Step::NodeDown { number, reason: DownReason::Replaced });
                }
                steps.push(Step::NodeUp { number, info });
                Ok(())
            }
            _ => Err(EntryRefusal::Stale),
        }
    }

    fn apply_events<C>(
        &mut self,
        number: NodeNumber,
        events: Vec<LogEvent<C>>,
        steps: &mut Vec<Step<C>>,
    ) {
        for event in events {
            match event {
                LogEvent::Do(command) => steps.push(Step::Command { number, command }),
                LogEvent::Snapshot(notice) => {
                    self.snapshot = Some(notice);
                    self.is_snapshot_wanted = false;
                }
                LogEvent::Down => {
                    self.nodes.remove(number);
                    steps.push(Step::NodeDown { number, reason: DownReason::Left });
                    return;
                }
                LogEvent::Reset(_) | LogEvent::Ask | LogEvent::Up(_) => {}
            }
        }
    }
}
