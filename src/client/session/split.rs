//! Splitting a text into lines that the server accepts.

use super::Session;
use crate::client::SendError;
use crate::client::long_line::split_line;

impl Session {
    /// Splits a line that is longer than the server accepts into lines that it accepts.
    ///
    /// The text is split between its lines, else between words, and inside a word only if the word
    /// alone is too long. Each of the lines begins with the command of the first, `/me` or
    /// `/msg NAME`. A line that is short enough is returned unchanged.
    ///
    /// # Errors
    ///
    /// Returns [`SendError::TooLong`] if the line is another command, or if not even one character
    /// fits.
    ///
    /// # Examples
    ///
    /// ```
    /// # use smolchat::client::{SendError, Session};
    /// # fn read_aloud(session: &mut Session, book: &str) -> Result<(), SendError> {
    /// for line in session.split(book)? {
    ///     session.send(&line)?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn split(&self, line: &str) -> Result<Vec<String>, SendError> {
        let max_bytes = self.limits().map_or(usize::MAX, |limits| limits.max_line as usize);
        split_line(line, max_bytes.saturating_sub(self.pending.overhead()))
            .ok_or(SendError::TooLong { max_bytes })
    }
}
