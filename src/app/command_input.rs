//! The frames that a command reads from its standard input.

use async_channel::{Receiver, Sender, TrySendError};

use super::event_sink::print_warning;
use crate::client::{ReceivedFrame, sanitize};
use crate::protocol::Body;

/// The number of lines that may wait until a command reads them.
const CAPACITY: usize = 1024;

/// The queue of lines for the standard input of a command.
///
/// A line is dropped if the queue is full, so that a command that does not read delays neither the
/// client nor the room.
pub struct CommandInput {
    lines: Sender<Vec<u8>>,
    /// Whether the command reads the server's lines, and not names and texts.
    is_json: bool,
    /// The number of lines dropped since the queue became full.
    dropped: usize,
}

impl CommandInput {
    /// Returns an empty queue and the receiver of its lines, which end with a newline.
    pub fn new(is_json: bool) -> (Self, Receiver<Vec<u8>>) {
        let (lines, receiver) = async_channel::bounded(CAPACITY);
        (CommandInput { lines, is_json, dropped: 0 }, receiver)
    }

    /// Queues a frame if it is for the command: not a message of its own, and not from before it
    /// joined.
    pub fn write_frame(&mut self, received: &ReceivedFrame, own_name: &str) {
        let frame = &received.frame;
        let is_own = match frame.body {
            Body::Chat { .. } | Body::Action { .. } | Body::Private { .. } => {
                received.in_reply_to.is_some() || frame.data_source == own_name
            }
            _ => false,
        };
        if is_own || received.is_past {
            return;
        }
        let mut line = match frame.body {
            _ if self.is_json => received.line.clone(),
            Body::Chat { .. } => {
                let (name, text) = (sanitize(&frame.data_source), sanitize(&frame.data));
                format!("{name}\t{text}").into_bytes()
            }
            _ => return,
        };
        line.push(b'\n');
        self.push(line);
    }

    fn push(&mut self, line: Vec<u8>) {
        match self.lines.try_send(line) {
            Ok(()) => self.report_dropped(),
            Err(TrySendError::Full(_)) => {
                if self.dropped == 0 {
                    print_warning("the command does not read; lines are dropped until it does");
                }
                self.dropped += 1;
            }
            // The command has closed its input.
            Err(TrySendError::Closed(_)) => {}
        }
    }

    fn report_dropped(&mut self) {
        match std::mem::take(&mut self.dropped) {
            0 => {}
            1 => print_warning("one line was dropped"),
            count => print_warning(&format!("{count} lines were dropped")),
        }
    }
}

impl Drop for CommandInput {
    fn drop(&mut self) {
        self.report_dropped();
    }
}
