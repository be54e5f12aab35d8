//! The history: the last frames of the room's sequence, as encoded bytes.

use std::collections::VecDeque;
use std::sync::Arc;

use super::batch::{Chunk, Slice, SliceKind, end_of};

/// The most frames in small chunks; more are copied into one chunk. A replay then has few slices,
/// which take little memory in the outbox of a slow member.
const MAX_SCATTERED: usize = 16;

/// The last frames, bounded in count and in bytes; the oldest is dropped first.
///
/// A frame is a range of the chunk that was sent, which the outboxes of slow members share. A chunk
/// is freed with its last frame, so the memory in use can exceed the bound by most of one chunk.
#[derive(Debug, Default)]
pub struct History {
    frames: VecDeque<HistoryFrame>,
    /// The number of the newest frame.
    newest: u64,
    /// The count of the oldest frames of the open batch that will not fit.
    dropped_open: usize,
    bytes: usize,
    max_frames: usize,
    max_bytes: usize,
    /// The count of the newest frames that are in small chunks.
    scattered: usize,
    /// The lowest number from which a client can resume, even if there are older frames.
    min_resumable: u64,
}

#[derive(Debug)]
struct HistoryFrame {
    chunk: Chunk,
    start: u32,
    end: u32,
}

impl HistoryFrame {
    fn len(&self) -> usize {
        (self.end - self.start) as usize
    }

    fn bytes(&self) -> &[u8] {
        self.chunk.get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}

impl History {
    /// Creates an empty history of a sequence whose last number is `newest`.
    pub fn new(max_frames: usize, max_bytes: usize, newest: u64) -> Self {
        History { newest, max_frames, max_bytes, ..History::default() }
    }

    /// Creates a history that begins with encoded frames, back to back. `newest` is the number of
    /// the last of them, and a client can resume with the last `resumable` of them.
    pub fn with_frames(
        max_frames: usize,
        max_bytes: usize,
        newest: u64,
        frames: Vec<u8>,
        resumable: usize,
    ) -> Self {
        let mut end = 0;
        let ends = frames.split_inclusive(|&b| b == b'\n').map(|frame| {
            end += frame.len() as u32;
            end
        });
        let ends: Vec<u32> = ends.collect();
        // Frames of an earlier epoch may carry other numbers. They are counted back from the
        // newest.
        let before = newest.saturating_sub(ends.len() as u64);
        let mut history = History::new(max_frames, max_bytes, before);
        history.extend(&frames.into(), &ends);
        history.newest = newest;
        history.min_resumable = (newest + 1).saturating_sub(resumable as u64);
        history
    }

    /// Returns the most bytes that the slices of a replay take in an outbox, apart from the frames
    /// themselves: the outbox is a queue that grows by doubling.
    pub fn max_replay_overhead(max_frames: usize) -> usize {
        // At worst a small chunk comes before each large one.
        let slices = 2 * (max_frames / MAX_SCATTERED + 1) + MAX_SCATTERED;
        slices.next_power_of_two().saturating_mul(size_of::<Slice>())
    }

    /// Drops the oldest frames that do not fit beside those of the open batch, which will be
    /// appended. `ends` has the byte offset at which each of these ends.
    ///
    /// So the frames that a member can be sent again do not depend on where the batch ends.
    pub fn make_room(&mut self, ends: &[u32]) {
        let bytes_of = |count| end_of(ends, count) as usize;
        while self.frames.len() + ends.len() - self.dropped_open > self.max_frames
            || self.bytes + bytes_of(ends.len()) - bytes_of(self.dropped_open) > self.max_bytes
        {
            match self.frames.pop_front() {
                Some(oldest) => self.bytes -= oldest.len(),
                None => self.dropped_open += 1,
            }
        }
    }

    /// Sets the limits of [`new`](Self::new). `ends` is that of [`make_room`](Self::make_room).
    #[cfg(feature = "cluster")]
    pub fn set_limits(&mut self, max_frames: usize, max_bytes: usize, ends: &[u32]) {
        (self.max_frames, self.max_bytes) = (max_frames, max_bytes);
        self.make_room(ends);
    }

    /// Appends the next frames of the sequence. `ends` has the byte offset at which each frame in
    /// `chunk` ends.
    pub fn extend(&mut self, chunk: &Chunk, ends: &[u32]) {
        if self.scattered > 0 && self.scattered + ends.len() > MAX_SCATTERED {
            self.merge_scattered();
        }
        if ends.len() < MAX_SCATTERED {
            self.scattered += ends.len();
        }
        let mut start = 0;
        for &end in ends {
            self.newest += 1;
            // The limits can have grown since.
            if self.dropped_open > 0 {
                self.dropped_open -= 1;
            } else {
                self.bytes += (end - start) as usize;
                self.frames.push_back(HistoryFrame { chunk: Arc::clone(chunk), start, end });
            }
            start = end;
            while self.frames.len() > self.max_frames || self.bytes > self.max_bytes {
                let Some(oldest) = self.frames.pop_front() else { break };
                self.bytes -= oldest.len();
            }
        }
    }

    /// Copies the newest frames, which are in small chunks, into one chunk.
    fn merge_scattered(&mut self) {
        let first = self.frames.len().saturating_sub(std::mem::take(&mut self.scattered));
        let mut bytes = Vec::new();
        let mut scattered: Vec<&mut HistoryFrame> = self.frames.range_mut(first..).collect();
        for frame in &mut scattered {
            let start = bytes.len() as u32;
            bytes.extend_from_slice(frame.bytes());
            (frame.start, frame.end) = (start, bytes.len() as u32);
        }
        let chunk = Chunk::from(bytes);
        for frame in scattered {
            frame.chunk = Arc::clone(&chunk);
        }
    }

    /// Returns the most frames that the history holds.
    pub fn max_frames(&self) -> usize {
        self.max_frames
    }

    /// Returns the number of the oldest frame, those of the open batch included, or one more than
    /// the newest number if there is none.
    pub fn oldest(&self) -> u64 {
        (self.newest + 1 + self.dropped_open as u64).saturating_sub(self.frames.len() as u64)
    }

    /// Returns the number of the oldest frame with which a client can resume.
    pub fn oldest_resumable(&self) -> u64 {
        self.oldest().max(self.min_resumable)
    }

    /// Returns the number of frames.
    #[cfg(feature = "irc")]
    pub fn frame_count(&self) -> usize {
        self.frames.len()
    }

    /// Returns the bytes of a frame; the oldest is at 0.
    #[cfg(feature = "irc")]
    pub fn frame(&self, at: usize) -> Option<&[u8]> {
        self.frames.get(at).map(HistoryFrame::bytes)
    }

    /// Returns the count of the frames of the open batch that will not fit.
    #[cfg(feature = "cluster")]
    pub fn dropped_open(&self) -> usize {
        self.dropped_open
    }

    /// Returns the bytes of each frame.
    #[cfg(feature = "cluster")]
    pub fn frames(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.frames.iter().map(HistoryFrame::bytes)
    }

    /// Returns the frames from number `from` on, in few slices.
    pub fn slices(&self, from: u64, kind: SliceKind) -> Vec<Slice> {
        let skip = from.saturating_sub(self.oldest());
        let skip = usize::try_from(skip).unwrap_or(usize::MAX).min(self.frames.len());
        let mut before = self.oldest().saturating_sub(1) + skip as u64;
        let mut slices = Vec::new();
        let mut frames = self.frames.range(skip..).peekable();
        while let Some(first) = frames.next() {
            let (mut end, mut newest) = (first.end, before + 1);
            while let Some(next) = frames.next_if(|next| Arc::ptr_eq(&next.chunk, &first.chunk)) {
                end = next.end;
                newest += 1;
            }
            let chunk = Arc::clone(&first.chunk);
            slices.push(Slice::new(chunk, first.start..end, before..newest, kind));
            before = newest;
        }
        slices
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(slices: &[Slice]) -> String {
        slices.iter().map(|slice| std::str::from_utf8(slice.bytes()).unwrap()).collect()
    }

    fn chunk(frames: &[&str]) -> (Chunk, Vec<u32>) {
        let mut end = 0;
        let ends = frames.iter().map(|frame| {
            end += frame.len() as u32;
            end
        });
        let ends = ends.collect();
        (frames.concat().into_bytes().into(), ends)
    }

    #[test]
    fn oldest_frames_are_dropped_by_count_and_bytes() {
        let (first, ends) = chunk(&["1\n", "2\n", "3\n"]);
        let mut history = History::new(4, 8, 0);
        history.extend(&first, &ends);
        let (second, ends) = chunk(&["4\n", "5\n"]);
        history.extend(&second, &ends);
        assert_eq!(
            (history.oldest(), text(&history.slices(0, SliceKind::Past))),
            (2, "2\n3\n4\n5\n".into())
        );
        let (third, ends) = chunk(&["six..\n"]);
        history.extend(&third, &ends);
        assert_eq!(
            (history.oldest(), text(&history.slices(0, SliceKind::Past))),
            (5, "5\nsix..\n".into())
        );
        assert_eq!(text(&history.slices(6, SliceKind::Past)), "six..\n");
        assert_eq!(text(&history.slices(7, SliceKind::Past)), "");
        assert_eq!(text(&history.slices(u64::MAX, SliceKind::Past)), "");
    }

    #[test]
    fn adjacent_frames_of_a_chunk_are_one_slice() {
        let (first, ends) = chunk(&["1\n", "2\n", "3\n"]);
        let mut history = History::new(10, 1000, 0);
        history.extend(&first, &ends);
        let (second, ends) = chunk(&["4\n"]);
        history.extend(&second, &ends);
        assert_eq!(history.slices(2, SliceKind::Past).len(), 2);
    }

    #[test]
    fn scattered_frames_are_replayed_in_few_slices() {
        let mut history = History::new(1000, 1 << 20, 0);
        for number in 1..=2000 {
            let (chunk, ends) = chunk(&[&format!("{number}\n")]);
            history.extend(&chunk, &ends);
        }
        let slices = history.slices(0, SliceKind::Replay);
        assert!(slices.len() <= 1000 / MAX_SCATTERED + MAX_SCATTERED + 1, "{}", slices.len());
        assert_eq!(slices.first().unwrap().kind(), SliceKind::Replay);
        assert_eq!(slices.first().unwrap().before(), Some(1000));
        assert!(text(&slices).starts_with("1001\n1002\n") && text(&slices).ends_with("\n2000\n"));
    }

    #[test]
    fn slices_know_their_last_sent_frame() {
        let (chunk, ends) = chunk(&["1\n", "22\n", "333\n", "4444\n"]);
        let mut history = History::new(3, 1000, 0);
        history.extend(&chunk, &ends);
        for sent in 0..=12 {
            let [mut slice] = <[Slice; 1]>::try_from(history.slices(0, SliceKind::Replay)).unwrap();
            let (sent_frames, _) = slice.bytes().split_at(sent);
            let last = 1 + sent_frames.iter().filter(|&&b| b == b'\n').count() as u64;
            slice.advance(sent);
            let numbers = [slice.before(), slice.last_sent(sent), slice.last()];
            assert_eq!(numbers, [Some(1), Some(last), Some(4)], "{sent} bytes");
        }
    }

    proptest! {
        #[test]
        fn history_holds_the_newest_frames_that_fit(
            batches in proptest::collection::vec(proptest::collection::vec(1usize..9, 0..20), 0..60),
            max_frames in 0usize..80,
            max_bytes in 0usize..400,
        ) {
            let mut history = History::new(max_frames, max_bytes, 0);
            let mut all: Vec<String> = Vec::new();
            for batch in batches {
                let frames: Vec<String> = batch.iter().map(|&n| "x".repeat(n) + "\n").collect();
                let (chunk, ends) = chunk(&frames.iter().map(String::as_str).collect::<Vec<_>>());
                history.extend(&chunk, &ends);
                all.extend(frames);
                let mut bytes = 0;
                let fits = all.iter().rev().take(max_frames).take_while(|frame| {
                    bytes += frame.len();
                    bytes <= max_bytes
                });
                let kept = fits.count();
                prop_assert_eq!(history.oldest() as usize, all.len() - kept + 1);
                prop_assert_eq!(text(&history.slices(0, SliceKind::Past)), all[all.len() - kept..].concat());
            }
        }
    }
}
