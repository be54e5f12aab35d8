//! A batch: all frames that the room sends in one turn, each encoded once.
//!
//! Most frames are for all members. They are encoded back to back into one [`Chunk`], which all
//! members share. Frames and operations for one client alone are [`Unicast`]s: each is an [`Op`] at
//! a position in that chunk. [`Batch::slices_for`] merges both for one client.

use std::borrow::Cow;
use std::sync::Arc;

use log::Level;

use super::{ClientId, History};
use crate::protocol::{Body, ByeCode, Frame};

/// Encoded frames, shared by all members that get them.
pub type Chunk = Arc<[u8]>;

/// A range of frames in a [`Chunk`].
#[derive(Clone, Debug)]
pub struct Slice {
    chunk: Chunk,
    // Invariant: start <= end <= chunk.len().
    start: u32,
    end: u32,
    kind: SliceKind,
}

/// The kind of the frames in a [`Slice`], by which their bytes count against an outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SliceKind {
    /// New frames of the room's sequence.
    Live {
        /// The sequence number before the first frame.
        before: u64,
    },
    /// Frames of the room's sequence that the member missed. The history holds their bytes anyway,
    /// so they do not count against the member's outbox.
    Replay {
        /// The sequence number before the first frame.
        before: u64,
    },
    /// Frames that the member asked to see again. They count against the outbox only if the member
    /// is behind already when it asks.
    Past,
    /// A frame for one client alone.
    Own,
}

impl Slice {
    /// Creates a slice of the frames in `chunk` from byte `start` to byte `end`.
    pub fn new(chunk: Chunk, start: usize, end: usize, kind: SliceKind) -> Self {
        debug_assert!(start <= end && end <= chunk.len(), "{start}..{end} of {}", chunk.len());
        Slice { chunk, start: start as u32, end: end as u32, kind }
    }

    /// Creates a slice of all frames in `chunk`.
    pub fn whole(chunk: Chunk, kind: SliceKind) -> Self {
        let end = chunk.len();
        Slice::new(chunk, 0, end, kind)
    }

    /// Encodes a frame for one client alone.
    pub fn own(frame: &Frame<'_>) -> Self {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        Slice::whole(bytes.into(), SliceKind::Own)
    }

    /// Returns the kind of the frames.
    pub fn kind(&self) -> SliceKind {
        self.kind
    }

    /// Returns the same frames with another kind.
    pub fn with_kind(self, kind: SliceKind) -> Self {
        Slice { kind, ..self }
    }

    /// Returns the sequence number before the first frame, for live and replayed frames.
    pub fn before(&self) -> Option<u64> {
        match self.kind {
            SliceKind::Live { before } | SliceKind::Replay { before } => Some(before),
            SliceKind::Past | SliceKind::Own => None,
        }
    }

    /// Returns whether the bytes count against the limit of an outbox.
    pub fn is_counted(&self) -> bool {
        matches!(self.kind, SliceKind::Live { .. } | SliceKind::Own)
    }

    /// Returns the number of frames that end in the slice.
    pub fn frames(&self) -> u64 {
        count_frames(self.bytes())
    }

    /// Returns the bytes that have not been sent.
    pub fn bytes(&self) -> &[u8] {
        let bytes = self.chunk.get(self.start as usize..self.end as usize);
        debug_assert!(bytes.is_some(), "{self:?} is out of range");
        bytes.unwrap_or_default()
    }

    /// Removes the first `count` bytes, which have been sent.
    pub fn advance(&mut self, count: usize) {
        let (sent, _) = self.bytes().split_at(count.min(self.bytes().len()));
        let (frames, count) = (count_frames(sent), sent.len());
        if let SliceKind::Live { before } | SliceKind::Replay { before } = &mut self.kind {
            *before += frames;
        }
        self.start += count as u32;
    }

    /// Returns whether part of the first frame has been sent.
    pub fn is_inside_frame(&self) -> bool {
        self.start > 0 && self.chunk.get(self.start as usize - 1) != Some(&b'\n')
    }

    /// Returns the unsent part of the first frame, copied so that the chunk can be freed.
    pub fn rest_of_frame(&self) -> Slice {
        let rest = self.bytes().split_inclusive(|&b| b == b'\n').next().unwrap_or_default();
        Slice::whole(rest.into(), self.kind)
    }
}

fn count_frames(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|&&b| b == b'\n').count() as u64
}

/// An operation on one client, with its position between the shared frames.
#[derive(Debug)]
pub struct Unicast {
    pub to: ClientId,
    /// The byte offset in the batch's chunk: frames before it are sent first.
    pub at: u32,
    pub op: Op,
}

/// An operation on one client.
#[derive(Debug)]
pub enum Op {
    /// Sends a frame for this client alone, or frames of earlier batches.
    Send(Slice),
    /// Sends a byte range of this batch's chunk once more.
    Repeat(u32, u32),
    /// Makes the client a member: it gets all shared frames from byte `from` on.
    StartLive {
        /// The byte offset in the batch's chunk.
        from: u32,
        /// The sequence number before that offset.
        before: u64,
    },
    /// Ends the connection after everything before it has been sent.
    Close,
    /// Ends the connection of a client that is not admitted, as [`Op::Close`] does.
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
    /// Lines for the log.
    pub log: Vec<(Level, String)>,
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
    /// The connection of a client that is not admitted ends, see [`Op::Refuse`].
    Refuse,
    /// The connection ends at once, see [`Op::Abort`].
    Abort,
    /// A bye takes the place of the frames that wait, see [`Op::Evict`].
    Evict(ByeCode),
}

impl Batch {
    /// Returns the frames for all members as one slice.
    pub fn shared(&self) -> Slice {
        Slice::whole(Arc::clone(&self.chunk), SliceKind::Live { before: self.before })
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
        // The shared frames that are not in `slices` yet: from this byte, after this number.
        let mut live = is_live.then_some((0, self.before));
        let mut end = None;
        for unicast in self.unicasts_for(id) {
            if let Some((from, before)) = live {
                let part = self.shared_part(from, unicast.at.max(from), before);
                live = Some((unicast.at.max(from), before + part.frames()));
                slices.push(part);
            }
            match &unicast.op {
                Op::Send(slice) => slices.push(slice.clone()),
                Op::Repeat(from, to) => {
                    slices.push(self.shared_part(*from, *to, 0).with_kind(SliceKind::Past));
                }
                Op::StartLive { from, before } => live = Some((*from, *before)),
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
        if let Some((from, before)) = live {
            slices.push(self.shared_part(from, self.chunk.len() as u32, before));
        }
        if matches!(end, Some(End::Abort | End::Evict(_))) {
            slices.clear();
        }
        slices.retain(|slice| !slice.bytes().is_empty());
        ClientSlices { slices, is_live: live.is_some(), end }
    }

    fn shared_part(&self, from: u32, to: u32, before: u64) -> Slice {
        let kind = SliceKind::Live { before };
        Slice::new(Arc::clone(&self.chunk), from as usize, to as usize, kind)
    }
}

/// The open batch of a room, to which frames and operations are added.
#[derive(Debug)]
pub(super) struct BatchBuilder {
    /// The last sequence number that was assigned.
    pub seq: u64,
    frames: Vec<u8>,
    /// The byte offset at which each frame ends.
    ends: Vec<u32>,
    unicasts: Vec<Unicast>,
    /// Bytes of the frames for single clients.
    unicast_bytes: usize,
    /// Lines for the log.
    pub log: Vec<(Level, String)>,
}

impl BatchBuilder {
    /// Creates an empty batch of a sequence whose last number is `seq`.
    pub fn new(seq: u64) -> Self {
        BatchBuilder {
            seq,
            frames: Vec::new(),
            ends: Vec::new(),
            unicasts: Vec::new(),
            unicast_bytes: 0,
            log: Vec::new(),
        }
    }

    /// Appends a frame for all members. Only this function assigns sequence numbers.
    pub fn publish<'a>(
        &mut self,
        source: &'a str,
        data: &'a str,
        body: impl FnOnce(u64) -> Body<'a>,
    ) {
        self.seq += 1;
        let frame = Frame { data_source: source.into(), data: data.into(), body: body(self.seq) };
        frame.encode(&mut self.frames);
        self.ends.push(self.position());
    }

    /// Adds an operation on one client at the current position.
    pub fn unicast(&mut self, to: ClientId, op: Op) {
        if let Op::Send(slice) = &op
            && slice.is_counted()
        {
            self.unicast_bytes += slice.bytes().len();
        }
        self.unicasts.push(Unicast { to, at: self.position(), op });
    }

    /// Adds a frame from the server to one client.
    pub fn send<'a>(&mut self, to: ClientId, text: impl Into<Cow<'a, str>>, body: Body<'a>) {
        self.unicast(to, Op::Send(Slice::own(&Frame::server(text, body))));
    }

    /// Returns the byte offset of the next frame.
    pub fn position(&self) -> u32 {
        self.frames.len() as u32
    }

    /// Returns the byte offset at which frame number `from` begins, and the sequence number before
    /// that offset. For a frame of an earlier batch that is the start of this one.
    pub fn position_of(&self, from: u64) -> (u32, u64) {
        let before = self.seq - self.ends.len() as u64;
        let skip = from.saturating_sub(before + 1).min(self.ends.len() as u64);
        let end = skip.checked_sub(1).and_then(|last| self.ends.get(last as usize));
        (end.copied().unwrap_or(0), before + skip)
    }

    /// Returns the bytes of all frames so far, those for single clients included.
    pub fn bytes(&self) -> usize {
        self.frames.len() + self.unicast_bytes
    }

    /// Returns whether there is an operation on a single client.
    pub fn has_unicasts(&self) -> bool {
        !self.unicasts.is_empty()
    }

    /// Returns the finished batch, whose frames go to the history, and starts the next one.
    pub fn seal(&mut self, history: &mut History) -> Batch {
        let mut sealed = std::mem::replace(self, BatchBuilder::new(self.seq));
        let chunk = Chunk::from(sealed.frames);
        history.extend(&chunk, &sealed.ends);
        // Stable: the order for one client stays.
        sealed.unicasts.sort_by_key(|unicast| unicast.to);
        Batch {
            chunk,
            before: sealed.seq - sealed.ends.len() as u64,
            frames: sealed.ends.len() as u64,
            unicasts: sealed.unicasts,
            log: sealed.log,
        }
    }
}
