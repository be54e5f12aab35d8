//! The last frames of the room's sequence, as the bytes that went out.

use std::collections::VecDeque;
use std::sync::Arc;

use super::batch::{Chunk, Slice, SliceKind};

/// Frames that came in chunks of their own are copied into one when there are so many of them: a
/// replay is then a few slices, and takes little room in the outbox of whoever reads it slowly.
const LOOSE: usize = 16;

/// The last frames, bounded in count and bytes, the oldest going first.
///
/// Frames are kept as places in the chunks that were sent, which members who are behind share.
/// A chunk goes with its last frame, so what is held can pass the bound by most of one chunk.
#[derive(Debug, Default)]
pub struct History {
    frames: VecDeque<HistoryFrame>,
    /// The number of the newest frame.
    newest: u64,
    bytes: usize,
    max_frames: usize,
    max_bytes: usize,
    /// How many of the newest frames are in chunks that have few.
    loose: usize,
    /// The oldest number with which a client can resume, however many frames are kept.
    floor: u64,
}

#[derive(Debug)]
struct HistoryFrame {
    chunk: Chunk,
    start: u32,
    end: u32,
}

impl History {
    /// An empty history, for a sequence of which `newest` is the last number given out.
    pub fn new(max_frames: usize, max_bytes: usize, newest: u64) -> Self {
        History { newest, max_frames, max_bytes, ..History::default() }
    }

    /// A history that begins with frames of former times, encoded, back to back; `newest` is the
    /// number of the last of them. Only the last `resumable` can be resumed with.
    pub fn with_snapshot(
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
        // Those of another epoch may have had other numbers: they are counted, not numbered.
        let before = newest.saturating_sub(ends.len() as u64);
        let mut history = History::new(max_frames, max_bytes, before);
        history.extend(&frames.into(), &ends);
        history.newest = newest;
        history.floor = (newest + 1).saturating_sub(resumable as u64);
        history
    }

    /// The most memory, in bytes, that the places of a replay take in an outbox, if so many frames
    /// are kept: each chunk is a slice, in a queue that grows by doubling.
    pub fn replay_places(max_frames: usize) -> usize {
        // At worst each chunk of many frames has one of few before it.
        let slices = 2 * (max_frames / LOOSE + 1) + LOOSE;
        slices.next_power_of_two().saturating_mul(size_of::<Slice>())
    }

    /// Takes the next frames of the sequence; `ends` are the places in `chunk` where each ends.
    pub fn extend(&mut self, chunk: &Chunk, ends: &[u32]) {
        if self.loose > 0 && self.loose + ends.len() > LOOSE {
            self.gather();
        }
        if ends.len() < LOOSE {
            self.loose += ends.len();
        }
        let mut start = 0;
        for &end in ends {
            self.newest += 1;
            self.bytes += (end - start) as usize;
            self.frames.push_back(HistoryFrame { chunk: Arc::clone(chunk), start, end });
            start = end;
            while self.frames.len() > self.max_frames || self.bytes > self.max_bytes {
                let Some(oldest) = self.frames.pop_front() else { break };
                self.bytes -= (oldest.end - oldest.start) as usize;
            }
        }
    }

    /// Copies the newest frames, which came one by one, into one chunk.
    fn gather(&mut self) {
        let first = self.frames.len().saturating_sub(std::mem::take(&mut self.loose));
        let mut bytes = Vec::new();
        let mut loose: Vec<&mut HistoryFrame> = self.frames.range_mut(first..).collect();
        for kept in &mut loose {
            let frame = kept.chunk.get(kept.start as usize..kept.end as usize).unwrap_or_default();
            (kept.start, kept.end) = (bytes.len() as u32, (bytes.len() + frame.len()) as u32);
            bytes.extend_from_slice(frame);
        }
        let chunk = Chunk::from(bytes);
        for kept in loose {
            kept.chunk = Arc::clone(&chunk);
        }
    }

    /// How many frames are kept at most.
    pub fn max_frames(&self) -> usize {
        self.max_frames
    }

    /// The number of the oldest frame that is kept; one past the newest if none is.
    pub fn oldest(&self) -> u64 {
        (self.newest + 1).saturating_sub(self.frames.len() as u64)
    }

    /// The number of the oldest frame with which a client can resume.
    pub fn oldest_resumable(&self) -> u64 {
        self.oldest().max(self.floor)
    }

    /// The frames from number `from` on, or as many of them as are kept, in few slices: as a
    /// [replay](SliceKind::Replay), or as something [past](SliceKind::Past).
    pub fn since(&self, from: u64, is_replay: bool) -> Vec<Slice> {
        let skip = from.saturating_sub(self.oldest());
        let skip = usize::try_from(skip).unwrap_or(usize::MAX).min(self.frames.len());
        let mut before = self.oldest().saturating_sub(1) + skip as u64;
        let mut slices = Vec::new();
        let mut frames = self.frames.range(skip..).peekable();
        while let Some(first) = frames.next() {
            let kind = if is_replay { SliceKind::Replay { before } } else { SliceKind::Past };
            let mut end = first.end;
            before += 1;
            while let Some(next) = frames.next_if(|next| Arc::ptr_eq(&next.chunk, &first.chunk)) {
                end = next.end;
                before += 1;
            }
            slices.push(Slice::new(Arc::clone(&first.chunk), first.start, end, kind));
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
    fn the_oldest_go_first_by_count_and_by_bytes() {
        let (first, ends) = chunk(&["1\n", "2\n", "3\n"]);
        let mut history = History::new(4, 8, 0);
        history.extend(&first, &ends);
        let (second, ends) = chunk(&["4\n", "5\n"]);
        history.extend(&second, &ends);
        assert_eq!((history.oldest(), text(&history.since(0, false))), (2, "2\n3\n4\n5\n".into()));
        let (third, ends) = chunk(&["six..\n"]);
        history.extend(&third, &ends);
        assert_eq!((history.oldest(), text(&history.since(0, false))), (5, "5\nsix..\n".into()));
        assert_eq!(text(&history.since(6, false)), "six..\n");
        assert_eq!(text(&history.since(7, false)), "");
        assert_eq!(text(&history.since(u64::MAX, false)), "");
    }

    #[test]
    fn neighbours_in_one_chunk_are_one_slice() {
        let (first, ends) = chunk(&["1\n", "2\n", "3\n"]);
        let mut history = History::new(10, 1000, 0);
        history.extend(&first, &ends);
        let (second, ends) = chunk(&["4\n"]);
        history.extend(&second, &ends);
        assert_eq!(history.since(2, false).len(), 2);
    }

    #[test]
    fn frames_that_came_one_by_one_are_replayed_in_few_slices() {
        let mut history = History::new(1000, 1 << 20, 0);
        for number in 1..=2000 {
            let (chunk, ends) = chunk(&[&format!("{number}\n")]);
            history.extend(&chunk, &ends);
        }
        let slices = history.since(0, true);
        assert!(slices.len() <= 1000 / LOOSE + LOOSE + 1, "{}", slices.len());
        assert_eq!(slices.first().unwrap().kind(), SliceKind::Replay { before: 1000 });
        assert!(text(&slices).starts_with("1001\n1002\n") && text(&slices).ends_with("\n2000\n"));
    }

    proptest! {
        #[test]
        fn it_holds_the_newest_that_fit(
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
                prop_assert_eq!(text(&history.since(0, false)), all[all.len() - kept..].concat());
            }
        }
    }
}
