//! The node: appender, replica and lease as one state machine, without sockets and clocks.
//!
//! The caller passes messages of the log, answers of the engine and the time, and executes the
//! actions that [`Node::poll`] returns.

mod state;

use std::mem;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::appender::{Appender, EventTooLong};
use super::entry::{LogEvent, NodeInfo, Reset, SnapshotNotice};
use super::epoch::{Continuation, StreamInfo, continuation};
use super::lease::{Lease, Reach};
use super::membership::NodeNumber;
use super::replica::{Applied, LogMessage, ReadError, Replica};
use super::snapshot::{EncodedSnapshot, SNAPSHOT_EVERY, encode};
use state::{Phase, SnapshotState};

pub use state::{NodeAction, NodeState, Opened};

/// The wait for a snapshot from the nodes in the room. After it, the node begins a new epoch. It is
/// longer than the election of a leader and a lease.
const SNAPSHOT_TIMEOUT: Duration = Duration::from_secs(25);
/// The time between two checks for that snapshot.
const SNAPSHOT_POLL: Duration = Duration::from_secs(1);
/// The least time between two checks of the stream because of entries for another one.
const STREAM_CHECK: Duration = Duration::from_secs(5);
/// The wait before a snapshot that failed is tried again.
const SNAPSHOT_RETRY: Duration = Duration::from_secs(5);

/// The part of a node in the log.
#[derive(Debug)]
pub struct Node {
    info: NodeInfo,
    /// The epoch that begins if the log has none.
    fresh_epoch: String,
    appender: Appender,
    replica: Replica,
    stream: Option<StreamInfo>,
    phase: Phase,
    lease: Option<Lease>,
    is_connected: bool,
    differences: Vec<String>,
    /// An epoch in which states differ from each other or from the log. If it is still the epoch of
    /// the log, the node begins another.
    lost_epoch: Option<String>,
    /// The replica lost its state, which the log may still have.
    must_open: bool,
    /// An entry was for another stream, so that this node or the writer reads the wrong one.
    must_check_stream: bool,
    checked_at: Duration,
    snapshot: SnapshotState,
}

impl Node {
    /// Creates a node outside the room. `inc` is random, and `fresh_epoch` is the epoch that begins
    /// if the log has none.
    pub fn new(info: NodeInfo, inc: u64, fresh_epoch: String) -> Self {
        Node {
            info,
            fresh_epoch,
            appender: Appender::new(inc),
            replica: Replica::default(),
            stream: None,
            phase: Phase::Closed,
            lease: None,
            is_connected: true,
            differences: Vec::new(),
            lost_epoch: None,
            must_open: false,
            must_check_stream: false,
            checked_at: Duration::ZERO,
            snapshot: SnapshotState::Idle(Duration::ZERO),
        }
    }

    /// Lets a node that is outside enter the room again, as another incarnation. Commands that wait
    /// are lost: their members are no longer in the room.
    pub fn restart(&mut self, inc: u64, fresh_epoch: String) {
        self.appender = Appender::new(inc);
        self.fresh_epoch = fresh_epoch;
        self.lease = None;
        self.snapshot = SnapshotState::Idle(Duration::ZERO);
        self.phase = if self.must_open {
            Phase::Reopening
        } else {
            Phase::Reading(self.replica.position().max(self.stream.map_or(0, |stream| stream.last)))
        };
    }

    /// Handles a stream that the engine opened, with the last snapshot that it has. The messages
    /// from [`Node::position`] + 1 on have to follow.
    pub fn open(&mut self, stream: StreamInfo, snapshot: Option<Replica>) -> Opened {
        let before = self.stream.replace(stream);
        let position = self.replica.position();
        let continuation = before.map(|before| continuation(before, stream, position));
        self.must_open = false;
        if self.replica.epoch().is_some() && continuation == Some(Continuation::Continue) {
            if self.phase == Phase::Closed {
                self.phase = Phase::Reading(stream.last);
            }
            return Opened::Kept;
        }
        let is_same = continuation == Some(Continuation::Continue);
        if matches!(self.phase, Phase::Asking { .. }) && snapshot.is_none() && is_same {
            return Opened::Blank;
        }
        if continuation == Some(Continuation::Shorter) {
            self.lost_epoch = self.replica.epoch().map(str::to_owned);
        }
        let first = stream.first.max(1);
        let snapshot = snapshot.filter(|snapshot| {
            if snapshot.position() > stream.last {
                self.lost_epoch = snapshot.epoch().map(str::to_owned);
            }
            (first - 1..=stream.last).contains(&snapshot.position())
        });
        let opened = if snapshot.is_some() { Opened::Restored } else { Opened::Blank };
        self.replica = snapshot.unwrap_or_else(|| Replica::blank(stream.created, first - 1));
        if matches!(self.phase, Phase::Inside(_) | Phase::Outside) {
            self.leave_room();
        } else {
            self.phase = Phase::Reading(stream.last);
        }
        opened
    }

    /// Returns the number of the last message that was applied.
    pub fn position(&self) -> u64 {
        self.replica.position()
    }

    /// Returns the replica.
    pub fn replica(&self) -> &Replica {
        &self.replica
    }

    /// Returns the appender.
    pub fn appender(&self) -> &Appender {
        &self.appender
    }

    /// Returns the relation of the node to the room.
    pub fn state(&self) -> NodeState {
        match self.phase {
            Phase::Inside(number) => NodeState::Inside(number),
            Phase::Outside => NodeState::Outside,
            Phase::Refused => NodeState::Refused(self.differences.clone()),
            _ => NodeState::Starting,
        }
    }

    /// Returns the reachability of the room.
    pub fn reach(&self, now: Duration) -> Reach {
        self.lease.map_or(Reach::OutOfReach, |lease| lease.reach(now))
    }

    /// Adds a command behind those that wait.
    ///
    /// # Errors
    ///
    /// Returns an error if no entry can hold the command.
    pub fn propose<C: Serialize>(&mut self, command: C) -> Result<(), EventTooLong> {
        self.appender.push(&LogEvent::Do(command))
    }

    /// Discards the commands that wait. That on the way may be in the log.
    pub fn discard_waiting(&mut self) {
        self.appender.discard_waiting();
    }

    /// Takes the node out of the room after the commands that wait.
    pub fn leave(&mut self) {
        // Always fits into an entry.
        let _ = self.appender.push(&LogEvent::<()>::Down);
    }

    /// Applies the next message of the log. After `Ok(Some(…))`, the caller applies the steps and
    /// calls [`Node::add_effects`].
    ///
    /// # Errors
    ///
    /// Returns an error if the message cannot be applied. After [`ReadError::Hole`] and
    /// [`ReadError::Diverged`] the room is empty, and the node begins a new epoch if the log does not
    /// have one. After [`ReadError::UnknownVersion`] the node has to end.
    pub fn on_message<C: DeserializeOwned>(
        &mut self,
        message: &LogMessage,
        now: Duration,
    ) -> Result<Option<Applied<C>>, ReadError> {
        let log = self.replica.head().log;
        let result = self.replica.apply(message);
        if let Ok(Some(Applied { writer: Some(writer), .. })) = &result
            && writer.log != log
            && now >= self.checked_at + STREAM_CHECK
        {
            self.checked_at = now;
            self.must_check_stream = true;
        }
        match &result {
            Ok(Some(applied)) => self.on_applied(applied, now),
            Ok(None) | Err(ReadError::UnknownVersion(_)) => {}
            Err(ReadError::Hole { epoch, .. } | ReadError::Diverged { epoch, .. }) => {
                self.lost_epoch = epoch.clone().or(self.lost_epoch.take());
                if matches!(self.phase, Phase::Inside(_)) {
                    self.leave_room();
                    self.must_open = true;
                }
            }
        }
        result
    }

    /// Adds the hash of the changes of the last message to the room.
    pub fn add_effects(&mut self, effects: u64) {
        self.replica.add_effects(effects);
    }

    /// Handles a failure of [`NodeAction::Publish`]. The entry may be in the log.
    pub fn on_publish_failed(&mut self, n: u64, now: Duration) {
        self.appender.on_failed(n, now);
    }

    /// Handles a change of the connection to NATS.
    pub fn on_connection(&mut self, is_connected: bool, now: Duration) {
        self.is_connected = is_connected;
        if let Some(lease) = &mut self.lease {
            lease.on_connection(is_connected, now);
        }
    }

    /// Encodes the room and the replica, for [`NodeAction::WriteSnapshot`].
    pub fn snapshot<S: Serialize>(&mut self, room: &S) -> EncodedSnapshot {
        self.snapshot = SnapshotState::Writing;
        encode(self.appender.inc(), &self.replica, room)
    }

    /// Handles the end of [`NodeAction::WriteSnapshot`].
    pub fn on_snapshot_written(&mut self, stored: Option<SnapshotNotice>, now: Duration) {
        if self.snapshot != SnapshotState::Writing {
            return;
        }
        self.snapshot = match stored {
            Some(notice) => {
                // Always fits into an entry.
                let _ = self.appender.push(&LogEvent::<()>::Snapshot(notice));
                SnapshotState::Stored(notice.position)
            }
            None => SnapshotState::Idle(now + SNAPSHOT_RETRY),
        };
    }

    /// Returns the next request, if there is one.
    pub fn poll(&mut self, now: Duration) -> Option<NodeAction> {
        self.advance(now);
        if self.phase == Phase::Reopening {
            self.phase = Phase::Closed;
            return Some(NodeAction::Open);
        }
        if mem::take(&mut self.must_check_stream) {
            return Some(NodeAction::Open);
        }
        if let Phase::Asking { next_check, .. } = &mut self.phase
            && *next_check <= now
        {
            *next_check = now + SNAPSHOT_POLL;
            return Some(NodeAction::Open);
        }
        let head = self.replica.head();
        let beat = self.lease.is_some_and(|lease| lease.is_beat_due(now));
        if let Some(outgoing) = self.appender.poll(now, head, beat) {
            if let Some(lease) = &mut self.lease {
                lease.on_sent(now);
            }
            return Some(NodeAction::Publish(outgoing));
        }
        self.is_snapshot_due(now).then_some(NodeAction::WriteSnapshot)
    }

    /// Returns when [`Node::poll`] and [`Node::reach`] have to be called again, if no event comes
    /// before.
    pub fn deadline(&self, now: Duration) -> Option<Duration> {
        let snapshot = match (self.phase, self.snapshot) {
            (Phase::Asking { next_check, .. }, _) => Some(next_check),
            (_, SnapshotState::Idle(from)) => Some(from).filter(|from| *from > now),
            _ => None,
        };
        let lease = self.lease.and_then(|lease| lease.deadline(now));
        [snapshot, lease, self.appender.deadline()].into_iter().flatten().min()
    }

    fn on_applied<C>(&mut self, applied: &Applied<C>, now: Duration) {
        let inc = self.appender.inc();
        let number = self.replica.number(inc);
        let writer = applied.writer.as_ref();
        if let Phase::Asking { until, .. } = &mut self.phase
            && writer.is_some_and(|writer| writer.inc != inc && writer.n > 0)
        {
            // A node is in the room and can write a snapshot.
            *until = now + SNAPSHOT_TIMEOUT;
        }
        if let Some(writer) = writer.filter(|writer| writer.inc == inc) {
            self.appender.on_read(writer.n);
            if self.phase == Phase::Entering {
                self.on_entry(number, writer.differences.clone(), now);
            } else if self.phase == Phase::Resetting {
                self.phase = Phase::Reading(self.replica.position());
            }
        }
        if matches!(self.phase, Phase::Inside(_)) && number.is_none() {
            self.leave_room();
        }
        if let SnapshotState::Stored(position) = self.snapshot
            && self.replica.snapshot_position() >= Some(position)
        {
            self.snapshot = SnapshotState::Idle(now);
        }
        if let (Some(lease), Some(silence)) = (&mut self.lease, self.replica.silence_ms(inc)) {
            lease.on_message(Duration::from_millis(silence), now);
        }
    }

    fn on_entry(&mut self, number: Option<NodeNumber>, differences: Vec<String>, now: Duration) {
        if let Some(number) = number {
            self.phase = Phase::Inside(number);
            self.lease = Some(Lease::new(now, self.is_connected));
            self.appender.enter();
        } else if differences.is_empty() {
            // A new epoch began before the entry.
            self.phase = Phase::Reading(self.replica.position());
        } else {
            (self.phase, self.differences) = (Phase::Refused, differences);
        }
    }

    fn leave_room(&mut self) {
        self.phase = Phase::Outside;
        self.lease = None;
    }

    /// Enters the next phases that need no message of the log.
    fn advance(&mut self, now: Duration) {
        let has_state = self.replica.epoch().is_some();
        let is_lost = self.lost_epoch.is_some()
            && (!has_state || self.lost_epoch.as_deref() == self.replica.epoch());
        let is_whole = self.stream.is_none_or(|stream| stream.first <= 1);
        match self.phase {
            Phase::Reading(target) if self.replica.position() < target => {}
            Phase::Reading(_) if is_lost => self.begin_epoch(),
            Phase::Reading(_) if has_state => self.enter(),
            Phase::Reading(_) if is_whole => self.begin_epoch(),
            Phase::Reading(_) => {
                let (until, next_check) = (now + SNAPSHOT_TIMEOUT, now + SNAPSHOT_POLL);
                let phase = Phase::Asking { until, next_check };
                self.start_outside(phase, &LogEvent::<()>::Ask);
            }
            Phase::Asking { .. } if has_state => {
                self.phase = Phase::Reading(self.replica.position())
            }
            Phase::Asking { until, .. } if until <= now => self.begin_epoch(),
            _ => {}
        }
    }

    fn enter(&mut self) {
        self.lost_epoch = None;
        let differences = self.replica.differences(&self.info);
        if differences.is_empty() {
            self.start_outside(Phase::Entering, &LogEvent::<()>::Up(self.info.clone()));
        } else {
            (self.phase, self.differences) = (Phase::Refused, differences);
        }
    }

    fn begin_epoch(&mut self) {
        let event = LogEvent::<()>::Reset(Reset { epoch: self.fresh_epoch.clone() });
        self.start_outside(Phase::Resetting, &event);
    }

    fn start_outside(&mut self, phase: Phase, event: &LogEvent<()>) {
        self.phase = phase;
        self.appender.start_outside(event, self.replica.head());
    }

    fn is_snapshot_due(&self, now: Duration) -> bool {
        let is_idle = matches!(self.snapshot, SnapshotState::Idle(from) if from <= now);
        matches!(self.phase, Phase::Inside(_))
            && is_idle
            && self.replica.is_snapshot_writer(self.appender.inc())
            && (self.replica.bytes_since_snapshot() >= SNAPSHOT_EVERY
                || self.replica.is_snapshot_wanted())
    }
}

#[cfg(test)]
mod tests;
