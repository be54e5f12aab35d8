//! Reading lines from standard input.

use std::io::{self, BufRead};
use std::thread;

use async_channel::Receiver;

use super::line_client::OutgoingLine;

/// The number of lines that are read ahead of the session.
const CAPACITY: usize = 64;

/// Starts a thread that reads standard input, and returns the receiver of its lines.
///
/// A thread, because reading blocks: standard input may be a terminal, and the flag that makes it
/// non-blocking is shared with the shell. The thread ends with the process.
pub fn read_stdin() -> Receiver<OutgoingLine> {
    let (sender, receiver) = async_channel::bounded(CAPACITY);
    thread::spawn(move || {
        for line in io::stdin().lock().split(b'\n').map_while(Result::ok) {
            if sender.send_blocking(Ok(line)).is_err() {
                break;
            }
        }
    });
    receiver
}
