//! What comes out of a session.

use std::time::Duration;

use super::Error;
use crate::protocol::Frame;

/// What happens to a session.
#[derive(Debug)]
pub enum SessionEvent {
    /// The server sent a line.
    Received(Received),
    /// The link is lost, and the session tries to come back after a while. Lines may still be
    /// said; they wait.
    Disconnected {
        /// Why.
        cause: Error,
        /// When it tries next.
        retry_in: Duration,
    },
    /// The server let us in again.
    Reconnected {
        /// Whether what was missed is known. It follows then; otherwise the numbers begin anew.
        resumed: bool,
        /// How many numbers of the sequence went by, as far as that is known.
        missed: u64,
    },
    /// All that was missed is here, and the lines that were kept go out.
    Synced {
        /// How many lines go out.
        pending: usize,
    },
    /// The frames with these numbers, both included, will not come.
    Gap {
        /// The first.
        from: u64,
        /// The last.
        to: u64,
    },
}

/// A frame, and the line that it came as.
#[derive(Clone, Debug)]
pub struct Received {
    /// What the server said.
    pub frame: Frame<'static>,
    /// The same, byte for byte, without its newline.
    pub line: Vec<u8>,
    /// It is from before, and shown because that was asked for, by the hello or by `/history`.
    pub is_past: bool,
    /// The line that this is the answer to, of those that were said: it was refused if this is
    /// an error, and is confirmed otherwise.
    pub in_reply_to: Option<String>,
}
