//! What the room answers to a batch of events.

use std::sync::Arc;

use super::MemberId;
use crate::protocol::{ByeCode, Frame};

/// Frames, encoded, back to back: what all members of one batch share.
pub type Chunk = Arc<[u8]>;

/// Whole frames out of a chunk.
#[derive(Clone, Debug)]
pub struct Slice {
    chunk: Chunk,
    start: u32,
    end: u32,
    kind: SliceKind,
}

/// What the frames of a [`Slice`] are to the member who gets them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SliceKind {
    /// What the room says now. `before` is the sequence number before its first frame.
    Live {
        /// The sequence number before the first frame.
        before: u64,
    },
    /// What the room said while this member was away. It is held by the history anyway, so it
    /// does not count as waiting for this member.
    Replay {
        /// The sequence number before the first frame.
        before: u64,
    },
    /// What the room said before, shown again on request; as a replay, it does not count, unless
    /// the member is behind already when it asks.
    Past,
    /// For this member alone.
    Own,
}

impl Slice {
    /// The frames in `chunk` from byte `start` to byte `end`; bounds past its end are cut.
    pub fn new(chunk: Chunk, start: u32, end: u32, kind: SliceKind) -> Self {
        let end = end.min(chunk.len().try_into().unwrap_or(u32::MAX));
        Slice { start: start.min(end), end, chunk, kind }
    }

    /// One frame for one member.
    pub fn own(frame: &Frame<'_>) -> Self {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        Slice::new(bytes.into(), 0, u32::MAX, SliceKind::Own)
    }

    /// What its frames are to the member.
    pub fn kind(&self) -> SliceKind {
        self.kind
    }

    /// The same frames as something else to the member.
    pub fn with_kind(self, kind: SliceKind) -> Self {
        Slice { kind, ..self }
    }

    /// The sequence number before its first frame, for what is of the member's own sequence.
    pub fn before(&self) -> Option<u64> {
        match self.kind {
            SliceKind::Live { before } | SliceKind::Replay { before } => Some(before),
            SliceKind::Past | SliceKind::Own => None,
        }
    }

    /// Whether its bytes count as waiting for the member who gets it.
    pub fn counts(&self) -> bool {
        matches!(self.kind, SliceKind::Live { .. } | SliceKind::Own)
    }

    /// The part of a whole chunk from byte `start` to byte `end`, with the sequence number before
    /// its first frame.
    pub fn part(&self, start: u32, end: u32, before: u64) -> Slice {
        Slice::new(Arc::clone(&self.chunk), start, end, SliceKind::Live { before })
    }

    /// The same part as something that was said before.
    pub fn part_again(&self, start: u32, end: u32) -> Slice {
        Slice::new(Arc::clone(&self.chunk), start, end, SliceKind::Past)
    }

    /// How many frames end in it.
    pub fn frames(&self) -> u64 {
        frames_in(self.bytes())
    }

    /// The bytes that are left of it.
    pub fn bytes(&self) -> &[u8] {
        self.chunk.get(self.start as usize..self.end as usize).unwrap_or_default()
    }

    /// Takes `count` bytes off the front, which have been sent.
    pub fn advance(&mut self, count: usize) {
        let count = count.min(self.bytes().len());
        let frames = frames_in(self.bytes().get(..count).unwrap_or_default());
        if let SliceKind::Live { before } | SliceKind::Replay { before } = &mut self.kind {
            *before += frames;
        }
        self.start += count as u32;
    }

    /// Whether a part of its first frame has been sent already.
    pub fn is_inside_frame(&self) -> bool {
        self.start > 0 && self.chunk.get(self.start as usize - 1) != Some(&b'\n')
    }

    /// What is left of its first frame, as a copy that keeps no chunk alive.
    pub fn rest_of_frame(&self) -> Slice {
        let bytes = self.bytes().split_inclusive(|&b| b == b'\n').next().unwrap_or_default();
        Slice::new(bytes.into(), 0, u32::MAX, self.kind)
    }
}

fn frames_in(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|&&b| b == b'\n').count() as u64
}

/// What the room answers to a batch of events: what everybody gets, and what some get besides.
#[derive(Debug)]
pub struct Batch {
    /// The frames of the room's sequence, each encoded once.
    pub chunk: Chunk,
    /// The sequence number before the first of them.
    pub before: u64,
    /// What differs from "all of `chunk`" for some members, in the order in which it came about.
    pub unicasts: Vec<Unicast>,
    /// What the log should say.
    pub log: Vec<(log::Level, String)>,
}

/// Something for one member, at its place between the frames for all.
#[derive(Debug)]
pub struct Unicast {
    /// The member it is for.
    pub to: MemberId,
    /// The place in the batch's chunk: what is before comes before.
    pub at: u32,
    /// What happens there.
    pub op: Op,
}

/// What happens to a member at some place in a batch.
#[derive(Debug)]
pub enum Op {
    /// A frame for this member alone, or frames of former batches.
    Send(Slice),
    /// Frames of this batch's chunk, from byte to byte, shown again.
    Repeat(u32, u32),
    /// From byte `from` of this batch's chunk on, the member gets what all get. `before` is the
    /// sequence number before the first frame there.
    StartLive {
        /// Where in the chunk.
        from: u32,
        /// The sequence number before that place.
        before: u64,
    },
    /// Nothing follows for this member, and its connection ends once all is sent that came before.
    Close,
    /// The connection is gone: nothing more is sent.
    Abort,
    /// The connection is given up, with all that waits for it: a bye with this code is its last
    /// line, and says how far it got.
    Evict(ByeCode),
}
