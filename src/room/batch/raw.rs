//! Slices of bytes that are not frames.

#[cfg(feature = "irc")]
use std::ops::Range;

use super::{Chunk, Slice, SliceKind};

impl Slice {
    /// Creates a slice of bytes that are not a frame.
    pub fn raw(bytes: Chunk) -> Self {
        let end = bytes.len() as u32;
        Slice::new(bytes, 0..end, 0..0, SliceKind::Raw)
    }

    /// Creates a slice of a part of bytes that are not a frame.
    #[cfg(feature = "irc")]
    pub fn raw_part(bytes: Chunk, range: Range<u32>) -> Self {
        Slice::new(bytes, range, 0..0, SliceKind::Raw)
    }

    /// Returns the same bytes, which are not a frame, with a number for their edge.
    #[cfg(feature = "irc")]
    pub fn with_mark(self, mark: u64) -> Self {
        Slice { before: mark, ..self }
    }

    /// Returns the number that an edge gave its bytes.
    #[cfg(feature = "irc")]
    pub fn mark(&self) -> u64 {
        if self.kind == SliceKind::Raw { self.before } else { 0 }
    }

    /// Returns the offsets of the unsent bytes in their chunk.
    #[cfg(feature = "irc")]
    pub fn range(&self) -> Range<u32> {
        self.start..self.end
    }
}
