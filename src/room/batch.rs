//! A batch: all frames that the room sends in one turn, each encoded once.
//!
//! Most frames are for all members. They are encoded back to back into one [`Chunk`], which all
//! members share. Frames and operations for one client alone are [`Unicast`]s: each is an [`Op`] at
//! a position in that chunk. [`Batch::slices_for`] merges both for one client.

mod builder;
#[cfg(any(feature = "web", feature = "irc", feature = "tls"))]
mod raw;

use std::ops::Range;
use std::sync::Arc;

use log::Level;

use super::ClientId;
use crate::protocol::{ByeCode, Frame};

pub(super) use builder::BatchBuilder;

/// Encoded frames, shared by all members that get them.
pub type Chunk = Arc<[u8]>;

/// A range of frames in a [`Chunk`].
#[derive(Clone, Debug)]
pub struct Slice {
    chunk: Chunk,
    // Invariant: start <= end <= chunk.len().
    start: u32,
    end: u32,
    /// The frames that end in the slice, those in its sent bytes included: known, because counting
    /// newlines costs 0.5 ms a megabyte.
    frames: u32,
    kind: SliceKind,
    /// The sequence number before those frames, for live and replayed frames.
    before: u64,
}

/// The kind of the frames in a [`Slice`], by which their bytes count against an outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SliceKind {
    /// New frames of the room's sequence.
    Live,
    /// Frames of the room's sequence that the member missed. The history holds their bytes anyway,
    /// so they do not count against the member's outbox.
    Replay,
    /// Frames that the member asked to see again. They count against the outbox only if the member
    /// is behind already when it asks.
    Past,
    /// A frame for one client alone.
    Own,
    /// Bytes of an edge that are not a frame.
    #[cfg(any(feature = "web", feature = "irc", feature = "tls"))]
    Raw,
}

impl Slice {
    /// Creates a slice of the bytes `range` of `chunk`, which are the frames with the numbers
    /// `numbers.start + 1` to `numbers.end`. For past and own frames only their count matters.
    pub fn new(chunk: Chunk, range: Range<u32>, numbers: Range<u64>, kind: SliceKind) -> Self {
        let Range { start, end } = range;
        debug_assert!(start <= end && end as usize <= chunk.len(), "{start}..{end}");
        let frames = (numbers.end - numbers.start) as u32;
        Slice { chunk, start, end, frames, kind, before: numbers.start }
    }

    /// Encodes a frame for one client alone.
    pub fn own(frame: &Frame<'_>) -> Self {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        let end = bytes.len() as u32;
        Slice::new(bytes.into(), 0..end, 0..1, SliceKind::Own)
    }

    /// Returns the kind of the frames.
    pub fn kind(&self) -> SliceKind {
        self.kind
    }

    /// Returns the same frames with another kind, for which `before` is the sequence number before
    /// the first of them.
    pub fn with_kind(self, kind: SliceKind, before: u64) -> Self {
        Slice { kind, before, ..self }
    }

    /// Returns the number of frames that end in the slice, those in its sent bytes included.
    pub fn frames(&self) -> u64 {
        self.frames.into()
    }

    /// Returns the sequence number before those frames, for live and replayed frames.
    pub fn before(&self) -> Option<u64> {
        matches!(self.kind, SliceKind::Live | SliceKind::Replay).then_some(self.before)
    }

    /// Returns the sequence number of the last frame, for live and replayed frames.
    pub fn last(&self) -> Option<u64> {
        Some(self.before()? + self.frames())
    }

    /// Returns the sequence number of the last frame that has been sent to its end, for live and
    /// replayed frames of which `sent` bytes have been sent. Counts the newlines in these.
    pub fn last_sent(&self, sent: usize) -> Option<u64> {
        let start = self.start as usize;
        let sent = self.chunk.get(start.saturating_sub(sent)..start).unwrap_or_default();
        let frames = sent.iter().filter(|&&byte| byte == b'\n').count();
        Some(self.before()? + frames as u64)
    }

    /// Returns whether the bytes count against the limit of an outbox.
    pub fn is_counted(&self) -> bool {
        !matches!(self.kind, SliceKind::Replay | SliceKind::Past)
    }

    /// Returns the bytes that have not been sent.
    pub fn bytes(&self) -> &[u8] {
        let bytes = self.chunk.get(self.start as usize..self.end as usize);
        debug_assert!(bytes.is_some(), "{self:?} is out of range");
        bytes.unwrap_or_default()
    }

    /// Removes the first `count` bytes, which have been sent.
    pub fn advance(&mut self, count: usize) {
        self.start += count.min(self.bytes().len()) as u32;
    }

    /// Returns whether part of the first frame has been sent.
    pub fn is_inside_frame(&self) -> bool {
        self.start > 0 && self.chunk.get(self.start as usize - 1) != Some(&b'\n')
    }

    /// Returns the unsent part of the first frame, copied so that the chunk can be freed. `before` is
    /// the sequence number before that frame.
    pub fn rest_of_frame(&self, before: u64) -> Slice {
        let rest = self.bytes().split_inclusive(|&b| b == b'\n').next().unwrap_or_default();
        let numbers = before..before + 1;
        Slice::new(rest.into(), 0..rest.len() as u32, numbers, self.kind)
    }
}

/// An operation on one client, with its position between the shared frames.
#[derive(Debug)]
pub struct Unicast {
    pub to: ClientId,
    /// The position in the batch's chunk: frames before it are sent first.
    pub at: Position,
    pub op: Op,
}

/// A position between the frames of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The byte offset in the batch's chunk.
    pub byte: u32,
    /// The sequence number before that offset.
    pub before: u64,
}

/// An operation on one client.
#[derive(Debug)]
pub enum Op {
    /// Sends a frame for this client alone, or frames of earlier batches.
    Send(Slice),
    /// Sends frames of this batch once more, from one position to another.
    Repeat(Position, Position),
    /// Makes the client a member: it gets all shared frames from this position on.
    StartLive(Position),
    /// Ends the connection after everything before it has been sent.
    Close,
    /// Ends a connection that has no place, as [`Op::Close`] does: the client is not admitted, or
    /// is an absent member.
    Refuse,
    /// Ends the connection at once: it is broken.
    Abort,
    /// Discards all frames that wait, sends a bye with this code, and ends the connection.
    Evict(ByeCode),
}

/// All frames and operations of one turn of the room.
#[derive(Debug)]
pub struct Batch {
    /// The frames of the room's sequence, each encoded once.
    pub chunk: Chunk,
    /// The sequence number before the first frame of `chunk`.
    pub before: u64,
    /// The number of frames in `chunk`.
    pub frames: u64,
    /// The operations on single clients, sorted by client; for one client in the order in which
    /// the room issued them.
    pub unicasts: Vec<Unicast>,
    /// Lines for the log. A line about the action of an operator has no level.
    pub log: Vec<(Option<Level>, String)>,
}

/// One client's part of a [`Batch`].
#[derive(Debug, Default)]
pub struct ClientSlices {
    /// The slices to send, in order; none is empty.
    pub slices: Vec<Slice>,
    /// Whether the client gets the shared frames of later batches.
    pub is_live: bool,
    /// The operation that ends the connection, if there is one.
    pub end: Option<End>,
}

/// An operation that ends a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The connection ends after its last frame is written, see [`Op::Close`].
    Close,
    /// A connection that has no place ends, see [`Op::Refuse`].
    Refuse,
    /// The connection ends at once, see [`Op::Abort`].
    Abort,
    /// A bye takes the place of the frames that wait, see [`Op::Evict`].
    Evict(ByeCode),
}

/// Returns the byte offset at which the first `count` frames end. `ends` has that of each frame.
pub(super) fn end_of(ends: &[u32], count: usize) -> u32 {
    count.checked_sub(1).and_then(|last| ends.get(last)).copied().unwrap_or(0)
}

impl Batch {
    /// Returns the frames for all members as one slice.
    pub fn shared(&self) -> Slice {
        self.part(self.start(), self.end(), SliceKind::Live)
    }

    /// Returns the operations on one client.
    pub fn unicasts_for(&self, id: ClientId) -> &[Unicast] {
        let (_, rest) = self.unicasts.split_at(self.unicasts.partition_point(|own| own.to < id));
        let (own, _) = rest.split_at(rest.partition_point(|own| own.to == id));
        own
    }

    /// Returns one client's part of the batch: the shared frames while the client is live, with
    /// its own operations at their positions. `is_live` is the client's state before the batch.
    pub fn slices_for(&self, id: ClientId, is_live: bool) -> ClientSlices {
        let mut slices = Vec::new();
        // The shared frames from this position on are not in `slices` yet.
        let mut live = is_live.then(|| self.start());
        let mut end = None;
        for unicast in self.unicasts_for(id) {
            if let Some(from) = live {
                let to = unicast.at.max(from);
                slices.push(self.part(from, to, SliceKind::Live));
                live = Some(to);
            }
            match &unicast.op {
                Op::Send(slice) => slices.push(slice.clone()),
                Op::Repeat(from, to) => slices.push(self.part(*from, *to, SliceKind::Past)),
                Op::StartLive(from) => live = Some(*from),
                Op::Close => end = Some(End::Close),
                Op::Refuse => end = Some(End::Refuse),
                Op::Abort => end = Some(End::Abort),
                Op::Evict(code) => end = Some(End::Evict(*code)),
            }
            if end.is_some() {
                live = None;
                break;
            }
        }
        if let Some(from) = live {
            slices.push(self.part(from, self.end(), SliceKind::Live));
        }
        if matches!(end, Some(End::Abort | End::Evict(_))) {
            slices.clear();
        }
        slices.retain(|slice| !slice.bytes().is_empty());
        ClientSlices { slices, is_live: live.is_some(), end }
    }

    fn start(&self) -> Position {
        Position { byte: 0, before: self.before }
    }

    fn end(&self) -> Position {
        Position { byte: self.chunk.len() as u32, before: self.before + self.frames }
    }

    fn part(&self, from: Position, to: Position, kind: SliceKind) -> Slice {
        let chunk = Arc::clone(&self.chunk);
        Slice::new(chunk, from.byte..to.byte, from.before..to.before, kind)
    }
}
