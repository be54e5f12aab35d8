//! A reader that splits a stream of bytes into lines.

/// The error for a line that is longer than the limit of its [`LineReader`].
///
/// The reader skips the rest of the line, up to the next newline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

/// A reader that splits a stream of bytes into lines, independent of how reads split the stream.
///
/// The reader buffers the start of a line until its newline arrives: at most the line limit and
/// one read. Between lines it owns no memory. A line that is too long is reported once, as soon as
/// it exceeds the limit, and is not buffered.
///
/// # Examples
///
/// ```
/// use smolchat::protocol::{LineReader, TooLong};
///
/// let mut reader = LineReader::new(5);
/// let mut lines = Vec::new();
/// for bytes in ["hel", "lo\r\nfar too long", "\nbye\n"] {
///     reader.read(bytes.as_bytes(), |line| {
///         lines.push(line.map(<[u8]>::to_vec));
///         true
///     });
/// }
/// assert_eq!(lines, [Ok(b"hello".to_vec()), Err(TooLong), Ok(b"bye".to_vec())]);
/// ```
#[derive(Debug)]
pub struct LineReader {
    /// The start of a line, or, if `has_more`, whole lines and perhaps the start of another.
    buffer: Vec<u8>,
    max_line: u32,
    /// Whether the next bytes are the rest of a line that was too long.
    is_skipping: bool,
    /// Whether `buffer` has at least one line that was not taken.
    has_more: bool,
}

/// Takes a line and returns `true`, or returns `false` and leaves it in the buffer.
type TakeLine<'a> = dyn FnMut(Result<&[u8], TooLong>) -> bool + 'a;

impl LineReader {
    /// Creates a reader for lines of at most `max_line` bytes, without their line ends.
    pub fn new(max_line: u32) -> Self {
        LineReader { buffer: Vec::new(), max_line, is_skipping: false, has_more: false }
    }

    /// Changes the longest line.
    pub(crate) fn set_max_line(&mut self, max_line: u32) {
        self.max_line = max_line;
    }

    /// Calls `take_line` for each line in the buffer and then in `bytes`, until it returns `false`.
    ///
    /// A line is passed without its line end, which is `\n` or `\r\n`. If `take_line` returns
    /// `false`, this line and those after it stay in the buffer and [`has_more`](Self::has_more)
    /// returns `true`; the caller gets them by another call, with or without new bytes.
    pub fn read(
        &mut self,
        bytes: &[u8],
        mut take_line: impl FnMut(Result<&[u8], TooLong>) -> bool,
    ) {
        self.read_lines(bytes, &mut take_line);
    }

    /// Does the same as [`read`](Self::read), with one instance of its code for all callers.
    fn read_lines(&mut self, bytes: &[u8], take_line: &mut TakeLine<'_>) {
        if self.buffer.is_empty() {
            self.buffer = self.split_lines(bytes, 0, take_line).to_vec();
            return;
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        // The start of a line has no newline. Without this, a long line that arrives in small
        // pieces would be searched from its start for each piece.
        let searched = if self.has_more { 0 } else { buffer.len() };
        buffer.extend_from_slice(bytes);
        let unread = self.split_lines(&buffer, searched, take_line).len();
        buffer.drain(..buffer.len() - unread);
        // An empty buffer is dropped with its memory.
        if !buffer.is_empty() {
            self.buffer = buffer;
        }
    }

    /// Returns whether the buffer has a line that the caller of the last [`read`](Self::read) did
    /// not take.
    pub fn has_more(&self) -> bool {
        self.has_more
    }

    /// Returns the bytes that were read and not passed on: the start of the next line, or more if
    /// [`has_more`](Self::has_more) is `true`.
    pub fn buffer(&self) -> &[u8] {
        &self.buffer
    }

    /// Buffers bytes without splitting them into lines.
    ///
    /// Before the next [`read`](Self::read), the caller has to take them back: from the
    /// [`buffer`](Self::buffer), which it then [clears](Self::clear).
    pub fn hold(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Returns whether the stream would end without a newline if it ended now.
    pub fn is_inside_line(&self) -> bool {
        self.is_skipping || self.buffer.last().is_some_and(|&byte| byte != b'\n')
    }

    /// Discards the buffer; the next byte starts a line.
    pub fn clear(&mut self) {
        *self = LineReader::new(self.max_line);
    }

    /// Passes the lines in `bytes` to `take_line` and returns the bytes to buffer.
    ///
    /// The first `searched` bytes have no newline.
    fn split_lines<'a>(
        &mut self,
        bytes: &'a [u8],
        mut searched: usize,
        take_line: &mut TakeLine<'_>,
    ) -> &'a [u8] {
        let mut unread = bytes;
        self.has_more = false;
        loop {
            let (line, rest) = split_line(unread, searched);
            searched = 0;
            // Without a newline, the carriage return may still become a part of the line end.
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let is_too_long = line.len() > self.max_line as usize;
            let is_reported = !self.is_skipping && (is_too_long || rest.is_some());
            if is_reported && !take_line(if is_too_long { Err(TooLong) } else { Ok(line) }) {
                self.has_more = true;
                return unread;
            }
            let Some(rest) = rest else {
                self.is_skipping |= is_too_long;
                return if self.is_skipping { &[] } else { unread };
            };
            self.is_skipping = false;
            unread = rest;
        }
    }
}

/// Splits `bytes` at the first newline: the bytes before it, and those after it if there is one.
///
/// The first `searched` bytes have no newline.
fn split_line(bytes: &[u8], searched: usize) -> (&[u8], Option<&[u8]>) {
    let newline = bytes.iter().skip(searched).position(|&byte| byte == b'\n');
    match newline.map(|index| bytes.split_at(searched + index)) {
        Some((line, [b'\n', rest @ ..])) => (line, Some(rest)),
        _ => (bytes, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn line_in_single_bytes_is_searched_once() {
        // If each byte caused a search from the start, this would take an hour.
        let length = 4 << 20;
        let mut reader = LineReader::new(length);
        for _ in 0..length {
            reader.read(b"x", |line| panic!("{line:?}"));
        }
        let mut lines = 0;
        reader.read(b"\n", |line| {
            assert_eq!(line.unwrap().len(), length as usize);
            lines += 1;
            true
        });
        assert_eq!((lines, reader.is_inside_line()), (1, false));
    }

    fn read_all<'a>(
        max_line: u32,
        reads: impl IntoIterator<Item = &'a [u8]>,
    ) -> Vec<Result<Vec<u8>, TooLong>> {
        let mut reader = LineReader::new(max_line);
        let mut lines = Vec::new();
        for bytes in reads {
            reader.read(bytes, |line| {
                lines.push(line.map(<[u8]>::to_vec));
                true
            });
            assert!(reader.buffer.len() <= max_line as usize + 1);
        }
        lines
    }

    #[test]
    fn line_over_limit_is_too_long() {
        assert_eq!(read_all(3, [&b"abc\r\n"[..]]), [Ok(b"abc".to_vec())]);
        assert_eq!(read_all(3, [&b"abcd\n"[..]]), [Err(TooLong)]);
        assert_eq!(read_all(3, [&b"abc\r"[..], b"d\n"]), [Err(TooLong)]);
    }

    #[test]
    fn long_line_is_reported_once_before_its_end() {
        let mut reader = LineReader::new(8);
        let mut errors = 0;
        for _ in 0..1000 {
            reader.read(&[b'x'; 100], |line| {
                assert_eq!(line, Err(TooLong));
                errors += 1;
                true
            });
            assert!(reader.buffer.is_empty());
        }
        assert_eq!(errors, 1);
        assert!(reader.is_inside_line());
    }

    #[test]
    fn reader_between_lines_owns_no_memory() {
        let mut reader = LineReader::new(100);
        reader.read(b"half", |_| true);
        reader.read(b" and half\n", |_| true);
        assert_eq!(reader.buffer.capacity(), 0);
    }

    proptest! {
        #[test]
        fn any_split_into_reads_gives_the_same_lines(
            text in proptest::collection::vec(prop_oneof![
                4 => Just(b'a'), 2 => Just(b'\n'), 1 => Just(b'\r'), 1 => any::<u8>(),
            ], 0..200),
            splits in proptest::collection::vec(0usize..200, 0..20),
            max_line in 0u32..12,
        ) {
            let mut splits: Vec<usize> =
                splits.into_iter().map(|index| index % (text.len() + 1)).collect();
            splits.extend([0, text.len()]);
            splits.sort_unstable();
            let reads = splits.windows(2).map(|pair| &text[pair[0]..pair[1]]);
            prop_assert_eq!(read_all(max_line, reads), read_all(max_line, [&text[..]]));
        }

        #[test]
        fn line_that_is_not_taken_comes_again(text in "[ab\r\n]{0,100}", max_line in 0u32..12) {
            let mut reader = LineReader::new(max_line);
            let mut lines = Vec::new();
            let mut bytes = text.as_bytes();
            loop {
                let before = lines.len();
                reader.read(bytes, |line| {
                    let is_first = lines.len() == before;
                    lines.extend(is_first.then(|| line.map(<[u8]>::to_vec)));
                    is_first
                });
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
