//! The events of a session.

use std::time::Duration;

use super::Error;
use crate::protocol::Frame;

/// An event that [`Session::receive`](super::Session::receive) returns.
#[derive(Debug)]
#[non_exhaustive]
pub enum SessionEvent {
    /// The server sent a frame.
    Received(ReceivedFrame),
    /// The connection is lost, or another attempt to connect failed. The session tries again
    /// after a pause. Lines can still be sent: they wait until the session is connected.
    Disconnected {
        /// The error that ended the connection or the attempt.
        cause: Error,
        /// The pause before the next attempt.
        retry_in: Duration,
    },
    /// The server accepted the session again, after a [`Disconnected`](Self::Disconnected).
    Reconnected {
        /// Whether the server sends the missed frames. It cannot after a restart without a
        /// history file.
        resumed: bool,
        /// The number of missed frames, as far as it is known.
        missed: u64,
    },
    /// All missed frames were received after a reconnect. The pending lines are sent now.
    Synced {
        /// The number of pending lines.
        pending: usize,
    },
    /// The frames with these sequence numbers are lost.
    Gap {
        /// The first number that is lost.
        from: u64,
        /// The last number that is lost.
        to: u64,
    },
}

/// A frame from the server, and the line that it was decoded from.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ReceivedFrame {
    /// The frame that was decoded from the line.
    pub frame: Frame<'static>,
    /// The bytes of the line, without the newline.
    pub line: Vec<u8>,
    /// Whether the frame is history: it was sent because of
    /// [`SessionConfig::history`](super::SessionConfig::history) or the command `/history`.
    pub is_past: bool,
    /// The id of the sent line that this frame answers, as [`Session::send`](super::Session::send)
    /// returned it.
    ///
    /// If the frame is an error, the line was refused. Otherwise it is confirmed.
    pub in_reply_to: Option<String>,
}
