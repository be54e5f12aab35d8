//! Reading lines from standard input.

use std::io::{self, BufRead, ErrorKind};
use std::thread;

use async_channel::Receiver;
use rustix::event::{PollFd, PollFlags, poll};

use super::line_client::{InputError, MAX_LINE, OutgoingLine};
use crate::protocol::LineReader;

/// The number of lines that are read ahead of the session, each of at most [`MAX_LINE`] bytes.
const CAPACITY: usize = 16;

/// Starts a thread that reads standard input, and returns the receiver of its lines. If reading
/// fails, the error is the last of them.
///
/// A thread, because reading blocks: standard input may be a terminal, and the flag that makes it
/// non-blocking is shared with the shell. The thread ends with the process.
pub fn read_stdin() -> Receiver<OutgoingLine> {
    let (sender, receiver) = async_channel::bounded(CAPACITY);
    thread::spawn(move || {
        let (mut stdin, mut reader) = (io::stdin().lock(), LineReader::new(MAX_LINE));
        loop {
            let length = match stdin.fill_buf() {
                Ok([]) => break,
                Ok(bytes) => {
                    reader.read(bytes, |line| {
                        // Fails after the session has ended.
                        let _ = sender.send_blocking(InputError::from_reader(line));
                        true
                    });
                    bytes.len()
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => 0,
                // Another program has made it non-blocking.
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let _ = poll(&mut [PollFd::new(&io::stdin(), PollFlags::IN)], None);
                    0
                }
                Err(error) => {
                    let _ = sender.send_blocking(Err(InputError::Read(error)));
                    return;
                }
            };
            stdin.consume(length);
            if sender.is_closed() {
                return;
            }
        }
        // The last line may have no newline.
        if !reader.buffer().is_empty() {
            let _ = sender.send_blocking(Ok(reader.buffer().to_vec()));
        }
    });
    receiver
}
