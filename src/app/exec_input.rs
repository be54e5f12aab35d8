//! The frames that a command reads from its standard input.

use std::cell::Cell;
use std::rc::Rc;

use async_channel::{Receiver, Sender, TrySendError};

use super::warning::print_warning;
use crate::client::{ReceivedFrame, sanitize};
use crate::protocol::Body;

/// The number of lines that may wait until a command reads them.
const MAX_LINES: usize = 1024;
/// The bytes of these lines above which no further one waits.
const MAX_BYTES: usize = 1 << 20;

/// The queue of lines for the standard input of a command.
///
/// A line is dropped if the queue is full, so that a command that does not read delays neither the
/// client nor the room.
pub struct CommandInput {
    lines: Sender<Vec<u8>>,
    /// The bytes in `lines`.
    queued_bytes: Rc<Cell<usize>>,
    /// Closed by the first welcome.
    not_joined: Option<Sender<()>>,
    /// Whether the command reads the server's lines, and not names and texts.
    is_json: bool,
    /// The number of lines dropped since the queue became full.
    dropped: usize,
}

/// The end of the queue from which the lines are taken.
pub struct CommandInputReader {
    lines: Receiver<Vec<u8>>,
    queued_bytes: Rc<Cell<usize>>,
    not_joined: Receiver<()>,
}

impl CommandInputReader {
    /// Waits until the client has joined. Returns false if the session ends before that.
    pub async fn wait_until_joined(&self) -> bool {
        let _ = self.not_joined.recv().await;
        !self.lines.is_closed()
    }

    /// Removes and returns the next line, with its newline, or `None` at the end.
    pub async fn next_line(&self) -> Option<Vec<u8>> {
        let line = self.lines.recv().await.ok()?;
        self.queued_bytes.set(self.queued_bytes.get().saturating_sub(line.len()));
        Some(line)
    }
}

impl CommandInput {
    /// Returns the two ends of an empty queue.
    pub fn new(is_json: bool) -> (Self, CommandInputReader) {
        let (sender, receiver) = async_channel::bounded(MAX_LINES);
        let (joined_sender, not_joined) = async_channel::bounded(1);
        let queued_bytes = Rc::new(Cell::new(0));
        let reader = CommandInputReader {
            lines: receiver,
            queued_bytes: Rc::clone(&queued_bytes),
            not_joined,
        };
        let not_joined = Some(joined_sender);
        (CommandInput { lines: sender, queued_bytes, not_joined, is_json, dropped: 0 }, reader)
    }

    /// Queues a frame if it is for the command: not a message of its own, and not from before it
    /// joined.
    pub fn write_frame(&mut self, received: &ReceivedFrame, own_name: &str) {
        let frame = &received.frame;
        if let Body::Welcome { .. } = frame.body {
            self.not_joined = None;
        }
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
        let queued = self.queued_bytes.get();
        let size = line.len();
        let result = match queued < MAX_BYTES {
            true => self.lines.try_send(line),
            false => Err(TrySendError::Full(line)),
        };
        match result {
            Ok(()) => {
                self.queued_bytes.set(queued + size);
                self.report_dropped();
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn queued(line: &[u8]) -> (usize, usize) {
        let (mut input, reader) = CommandInput::new(false);
        for _ in 0..2 * MAX_LINES {
            input.push(line.to_vec());
        }
        let lines: Vec<_> = std::iter::from_fn(|| {
            futures_lite::future::block_on(futures_lite::future::poll_once(reader.next_line()))
        })
        .flatten()
        .collect();
        assert_eq!((reader.queued_bytes.get(), input.dropped), (0, 2 * MAX_LINES - lines.len()));
        (lines.len(), lines.concat().len())
    }

    #[test]
    fn queue_is_bounded_in_lines_and_bytes() {
        assert_eq!(queued(b"\n").0, MAX_LINES);
        let (lines, bytes) = queued(&[b'x'; 400_000]);
        assert!(lines > 1 && bytes < MAX_BYTES + 400_000, "{lines} lines, {bytes} bytes");
    }
}
