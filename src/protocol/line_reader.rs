//! Bytes in any pieces to whole lines.

/// A line was longer than the reader's limit. Its rest is skipped, up to the next newline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

/// Cuts a stream of bytes into lines, however the bytes are split into reads.
///
/// The reader keeps what is not a whole line yet, never more than the line limit and one
/// read, and owns no memory at all while nothing is half-read. A line that is too long is
/// reported once, as soon as that is known, and costs no more memory than a short one.
///
/// ```
/// use smolchat::protocol::{LineReader, TooLong};
///
/// let mut reader = LineReader::new(5);
/// let mut lines = Vec::new();
/// for bytes in ["hel", "lo\r\nfar too long", "\nbye\n"] {
///     reader.read(bytes.as_bytes(), usize::MAX, |line| lines.push(line.map(<[u8]>::to_vec)));
/// }
/// assert_eq!(lines, [Ok(b"hello".to_vec()), Err(TooLong), Ok(b"bye".to_vec())]);
/// ```
#[derive(Debug)]
pub struct LineReader {
    /// What was read and not handed out: the start of a line, or, where the budget ran out,
    /// whole lines too.
    held: Vec<u8>,
    max_line: u32,
    /// The rest of a line that was too long is on its way.
    skipping: bool,
    /// `held` has at least one line that the budget did not cover.
    more: bool,
}

impl LineReader {
    /// A reader for lines of at most `max_line` bytes, without their newline.
    pub fn new(max_line: u32) -> Self {
        LineReader { held: Vec::new(), max_line, skipping: false, more: false }
    }

    /// Hands the lines in what was held and then in `bytes` to `on_line`, without their line
    /// ends, `budget` of them at most.
    ///
    /// Where there is another line beyond the budget, [`has_more`](Self::has_more) is true:
    /// call again with no bytes to go on.
    pub fn read(
        &mut self,
        bytes: &[u8],
        budget: usize,
        on_line: impl FnMut(Result<&[u8], TooLong>),
    ) {
        if self.held.is_empty() {
            let used = self.cut(bytes, 0, budget, on_line);
            self.held = bytes.get(used..).unwrap_or_default().to_vec();
        } else {
            let mut held = std::mem::take(&mut self.held);
            // The start of a line has been searched for its end already; who sends a long line
            // in small pieces must not have all of it searched again for each of them.
            let searched = if self.more { 0 } else { held.len() };
            held.extend_from_slice(bytes);
            let used = self.cut(&held, searched, budget, on_line);
            held.drain(..used);
            if !held.is_empty() {
                self.held = held;
            }
        }
    }

    /// Whether a line is held that the budget of the last [`read`](Self::read) did not cover.
    pub fn has_more(&self) -> bool {
        self.more
    }

    /// What is held: the start of the next line, at least.
    pub fn held(&self) -> &[u8] {
        &self.held
    }

    /// Whether the stream would end inside of a line if it ended here.
    pub fn is_inside_line(&self) -> bool {
        self.skipping || !self.held.is_empty()
    }

    /// Forgets what is held.
    pub fn clear(&mut self) {
        *self = LineReader::new(self.max_line);
    }

    /// Returns how many of `bytes` are done with. There is no newline in the first `searched`.
    fn cut(
        &mut self,
        bytes: &[u8],
        mut searched: usize,
        mut budget: usize,
        mut on_line: impl FnMut(Result<&[u8], TooLong>),
    ) -> usize {
        let max_line = self.max_line as usize;
        let mut rest = bytes;
        loop {
            let new = rest.get(searched..).unwrap_or_default();
            let (line, after) = match new.iter().position(|&b| b == b'\n').map(|at| searched + at) {
                Some(end) => (rest.get(..end).unwrap_or_default(), rest.get(end + 1..)),
                None => (rest, None),
            };
            searched = 0;
            // A carriage return at the very end may belong to the line end, not to the line.
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let too_long = line.len() > max_line;
            let reports = !self.skipping && (too_long || after.is_some());
            self.more = reports && budget == 0;
            if self.more {
                break;
            }
            if reports {
                budget -= 1;
                on_line(if too_long { Err(TooLong) } else { Ok(line) });
            }
            match after {
                Some(after) => {
                    self.skipping = false;
                    rest = after;
                }
                None => {
                    self.skipping |= too_long;
                    if self.skipping {
                        rest = &[];
                    }
                    break;
                }
            }
        }
        bytes.len() - rest.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Line = Result<Vec<u8>, TooLong>;

    #[test]
    fn a_line_in_the_smallest_pieces_is_searched_once_and_not_once_a_piece() {
        // Searched anew for each byte, this would take an hour.
        let length = 4 << 20;
        let mut reader = LineReader::new(length);
        for _ in 0..length {
            reader.read(b"x", 1, |line| panic!("{line:?}"));
        }
        let mut lines = 0;
        reader.read(b"\n", 1, |line| {
            assert_eq!(line.unwrap().len(), length as usize);
            lines += 1;
        });
        assert_eq!((lines, reader.is_inside_line()), (1, false));
    }

    fn read_all<'a>(max_line: u32, reads: impl IntoIterator<Item = &'a [u8]>) -> Vec<Line> {
        let mut reader = LineReader::new(max_line);
        let mut lines = Vec::new();
        for bytes in reads {
            reader.read(bytes, usize::MAX, |line| lines.push(line.map(<[u8]>::to_vec)));
            assert!(reader.held.len() <= max_line as usize + 1);
        }
        lines
    }

    #[test]
    fn a_line_of_the_limit_is_whole_and_one_more_byte_is_too_long() {
        assert_eq!(read_all(3, [&b"abc\r\n"[..]]), [Ok(b"abc".to_vec())]);
        assert_eq!(read_all(3, [&b"abcd\n"[..]]), [Err(TooLong)]);
        assert_eq!(read_all(3, [&b"abc\r"[..], b"d\n"]), [Err(TooLong)]);
    }

    #[test]
    fn a_long_line_is_reported_once_and_before_its_end() {
        let mut reader = LineReader::new(8);
        let mut errors = 0;
        for _ in 0..1000 {
            reader.read(&[b'x'; 100], usize::MAX, |line| {
                assert_eq!(line, Err(TooLong));
                errors += 1;
            });
            assert!(reader.held.is_empty());
        }
        assert_eq!(errors, 1);
        assert!(reader.is_inside_line());
    }

    #[test]
    fn nothing_is_owned_between_lines() {
        let mut reader = LineReader::new(100);
        reader.read(b"half", usize::MAX, |_| ());
        reader.read(b" and half\n", usize::MAX, |_| ());
        assert_eq!(reader.held.capacity(), 0);
    }

    proptest! {
        #[test]
        fn any_splitting_into_reads_gives_the_same_lines(
            text in proptest::collection::vec(prop_oneof![
                4 => Just(b'a'), 2 => Just(b'\n'), 1 => Just(b'\r'), 1 => any::<u8>(),
            ], 0..200),
            cuts in proptest::collection::vec(0usize..200, 0..20),
            max_line in 0u32..12,
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c % (text.len() + 1)).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let pieces = cuts.windows(2).map(|w| &text[w[0]..w[1]]);
            prop_assert_eq!(read_all(max_line, pieces), read_all(max_line, [&text[..]]));
        }

        #[test]
        fn a_budget_of_one_line_loses_nothing(text in "[ab\r\n]{0,100}", max_line in 0u32..12) {
            let mut reader = LineReader::new(max_line);
            let mut lines = Vec::new();
            let mut bytes = text.as_bytes();
            loop {
                let before = lines.len();
                reader.read(bytes, 1, |line| lines.push(line.map(<[u8]>::to_vec)));
                bytes = &[];
                if !reader.has_more() {
                    break;
                }
                prop_assert_eq!(lines.len(), before + 1);
            }
            prop_assert_eq!(lines, read_all(max_line, [text.as_bytes()]));
        }
    }
}
