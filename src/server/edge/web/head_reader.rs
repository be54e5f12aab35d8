//! A reader for the bytes of a request head.

/// The most bytes of a request head.
pub const MAX_HEAD_BYTES: usize = 8 * 1024;

/// The error for a request head that is longer than the limit of its [`HeadReader`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadTooLong;

/// A reader for the head of a request, independent of how reads split it. It searches each byte
/// once.
///
/// # Examples
///
/// ```
/// use smolchat::server::edge::web::{HeadReader, MAX_HEAD_BYTES};
///
/// let mut reader = HeadReader::new(MAX_HEAD_BYTES);
/// assert_eq!(reader.read(b"GET / HTTP/1.1\r\nHost: chat.lan\r\n\r"), Ok(None));
/// assert_eq!(reader.read(b"\nhello"), Ok(Some(&b"hello"[..])));
/// assert_eq!(reader.head(), b"GET / HTTP/1.1\r\nHost: chat.lan\r\n\r\n");
/// ```
#[derive(Debug)]
pub struct HeadReader {
    head: Vec<u8>,
    max_bytes: usize,
    line: LineContent,
}

/// The content of the line at the end of the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LineContent {
    Empty,
    CarriageReturn,
    Other,
}

impl HeadReader {
    /// Creates a reader for a head of at most `max_bytes` bytes.
    pub fn new(max_bytes: usize) -> Self {
        HeadReader { head: Vec::with_capacity(max_bytes), max_bytes, line: LineContent::Empty }
    }

    /// Reads the next bytes. When the head is complete, returns the bytes after it.
    ///
    /// The head ends with an empty line. As RFC 9112 permits, lines can also end with `\n` alone.
    ///
    /// # Errors
    ///
    /// Returns an error as soon as the head is too long.
    pub fn read<'b>(&mut self, bytes: &'b [u8]) -> Result<Option<&'b [u8]>, HeadTooLong> {
        let end = bytes.iter().position(|&byte| self.ends_head(byte));
        let (head, rest) = bytes.split_at(end.map_or(bytes.len(), |index| index + 1));
        let length = self.head.len() + head.len();
        if length > self.max_bytes {
            return Err(HeadTooLong);
        }
        self.head.extend_from_slice(head);
        Ok(end.map(|_| rest))
    }

    /// Returns the most bytes of the head.
    pub fn max_bytes(&self) -> usize {
        self.max_bytes
    }

    /// Returns the bytes of the head, with the empty line at its end.
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    fn ends_head(&mut self, byte: u8) -> bool {
        let is_line_empty = self.line != LineContent::Other;
        self.line = match byte {
            b'\n' => LineContent::Empty,
            b'\r' if self.line == LineContent::Empty => LineContent::CarriageReturn,
            _ => LineContent::Other,
        };
        byte == b'\n' && is_line_empty
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn head_in_single_bytes_is_read_once() {
        let mut reader = HeadReader::new(MAX_HEAD_BYTES);
        for &byte in b"GET / HTTP/1.1\r\n\r" {
            assert_eq!(reader.read(&[byte]), Ok(None));
        }
        assert_eq!(reader.read(b"\n"), Ok(Some(&b""[..])));
        assert_eq!(reader.head(), b"GET / HTTP/1.1\r\n\r\n");
    }

    #[test]
    fn head_of_8192_bytes_is_the_longest() {
        let mut head = b"GET / HTTP/1.1\r\nX: ".to_vec();
        head.resize(MAX_HEAD_BYTES - 4, b'x');
        head.extend_from_slice(b"\r\n\r\n");
        assert_eq!(HeadReader::new(MAX_HEAD_BYTES).read(&head), Ok(Some(&b""[..])));
        head.insert(20, b'x');
        assert_eq!(HeadReader::new(MAX_HEAD_BYTES).read(&head), Err(HeadTooLong));
        let mut reader = HeadReader::new(MAX_HEAD_BYTES);
        for (index, byte) in head.iter().enumerate() {
            assert!(reader.head.capacity() <= MAX_HEAD_BYTES);
            let expected = if index < MAX_HEAD_BYTES { Ok(None) } else { Err(HeadTooLong) };
            assert_eq!(reader.read(&[*byte]), expected, "{index}");
        }
    }

    proptest! {
        #[test]
        fn any_split_into_reads_gives_the_same_head(
            text in "[a\r\n]{0,12}(\r?\n){0,2}[a\r\n]{0,6}",
            splits in proptest::collection::vec(0usize..20, 0..6),
        ) {
            let mut whole = HeadReader::new(MAX_HEAD_BYTES);
            let expected = whole.read(text.as_bytes()).unwrap().map(<[u8]>::to_vec);
            let mut splits: Vec<usize> = splits.into_iter().map(|at| at.min(text.len())).collect();
            splits.extend([0, text.len()]);
            splits.sort_unstable();
            let mut reader = HeadReader::new(MAX_HEAD_BYTES);
            let mut found = None;
            for pair in splits.windows(2) {
                let rest = reader.read(&text.as_bytes()[pair[0]..pair[1]]).unwrap();
                if let Some(rest) = rest {
                    found = Some([rest, &text.as_bytes()[pair[1]..]].concat());
                    break;
                }
            }
            prop_assert_eq!(found, expected);
            prop_assert_eq!(reader.head(), whole.head());
        }
    }
}
