//! The open batch of a room.

use log::Level;

use super::{Batch, Chunk, Op, Position, Unicast, end_of};
use crate::protocol::{Body, Frame};
use crate::room::{ClientId, History};

/// The open batch of a room, to which frames and operations are added.
#[derive(Debug)]
pub struct BatchBuilder {
    /// The last sequence number that was assigned.
    pub seq: u64,
    frames: Vec<u8>,
    /// The byte offset at which each frame ends.
    ends: Vec<u32>,
    unicasts: Vec<Unicast>,
    /// Bytes of the frames for single clients.
    unicast_bytes: usize,
    /// The client whose lines are applied.
    author: Option<ClientId>,
    /// Bytes for this client alone since the first of its lines was applied.
    pub answer_bytes: usize,
    /// Lines for the log. A line about the action of an operator has no level.
    pub log: Vec<(Option<Level>, String)>,
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
            author: None,
            answer_bytes: 0,
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
        self.ends.push(self.frames.len() as u32);
    }

    /// Starts to count the bytes for one client alone.
    pub fn count_answers_to(&mut self, author: ClientId) {
        (self.author, self.answer_bytes) = (Some(author), 0);
    }

    /// Adds an operation on one client at the current position.
    pub fn unicast(&mut self, to: ClientId, op: Op) {
        if self.author == Some(to) {
            self.answer_bytes += match &op {
                Op::Send(slice) => slice.bytes().len(),
                Op::Repeat(from, end) => (end.byte - from.byte) as usize,
                _ => 0,
            };
        }
        if let Op::Send(slice) = &op
            && slice.is_counted()
        {
            self.unicast_bytes += slice.bytes().len();
        }
        self.unicasts.push(Unicast { to, at: self.position(), op });
    }

    /// Returns the number of operations on single clients.
    #[cfg(all(feature = "irc", feature = "cluster"))]
    pub fn unicast_count(&self) -> usize {
        self.unicasts.len()
    }

    /// Removes the frames for one client alone, except those of the first `count` operations.
    #[cfg(all(feature = "irc", feature = "cluster"))]
    pub fn discard_frames_to(&mut self, to: ClientId, count: usize) {
        let mut at = 0;
        self.unicasts.retain(|unicast| {
            at += 1;
            at <= count || unicast.to != to || !matches!(unicast.op, Op::Send(_))
        });
    }

    /// Returns the number of frames for all members.
    #[cfg(feature = "irc")]
    pub fn frame_count(&self) -> usize {
        self.ends.len()
    }

    /// Returns a frame for all members; the first is at 0.
    #[cfg(feature = "irc")]
    pub fn frame(&self, at: usize) -> Option<&[u8]> {
        let start = end_of(&self.ends, at) as usize;
        self.frames.get(start..*self.ends.get(at)? as usize)
    }

    /// Returns the frames for all members.
    #[cfg(feature = "cluster")]
    pub fn frames(&self) -> &[u8] {
        &self.frames
    }

    /// Returns the frames for all members without the first `count`.
    #[cfg(feature = "cluster")]
    pub fn frames_from(&self, count: usize) -> &[u8] {
        self.frames.get(end_of(&self.ends, count) as usize..).unwrap_or_default()
    }

    /// Returns the byte offset at which each frame for all members ends.
    pub fn ends(&self) -> &[u32] {
        &self.ends
    }

    /// Returns the position of the next frame.
    pub fn position(&self) -> Position {
        Position { byte: self.frames.len() as u32, before: self.seq }
    }

    /// Returns the position at which frame number `from` begins. For a frame of an earlier batch
    /// that is the start of this one.
    pub fn position_of(&self, from: u64) -> Position {
        let before = self.seq - self.ends.len() as u64;
        let skip = from.saturating_sub(before + 1).min(self.ends.len() as u64);
        Position { byte: end_of(&self.ends, skip as usize), before: before + skip }
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
