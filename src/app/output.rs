//! Standard output of the client without a line editor.
//!
//! A thread writes, because writing blocks while the reader does not read, and the client must
//! still handle signals and answer the server. A second thread detects a closed output also while
//! there is nothing to write.

use std::io::{self, ErrorKind};
use std::thread;

use async_channel::{Receiver, Sender, bounded};
use futures_lite::future;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

/// The number of bytes waiting to be written above which the client stops reading from the server.
const MAX_BUFFERED: usize = 1 << 20;

/// A queue of bytes for standard output.
pub struct StandardOutput {
    batches: Sender<Vec<u8>>,
    /// The result of each batch, and the error of a closed output.
    results: Receiver<io::Result<()>>,
    buffer: Vec<u8>,
    /// Whether a batch is being written.
    is_busy: bool,
    has_failed: bool,
}

impl StandardOutput {
    /// Starts the threads. They end with the process.
    pub fn start() -> Self {
        let (batches, waiting) = bounded::<Vec<u8>>(1);
        let (result_sender, results) = bounded(1);
        let end_sender = result_sender.clone();
        thread::spawn(move || {
            while let Ok(batch) = waiting.recv_blocking() {
                if result_sender.send_blocking(write_stdout(&batch)).is_err() {
                    break;
                }
            }
        });
        thread::spawn(move || {
            wait_until_closed();
            end_sender.send_blocking(Err(ErrorKind::BrokenPipe.into()))
        });
        StandardOutput { batches, results, buffer: Vec::new(), is_busy: false, has_failed: false }
    }

    /// Queues bytes. After an error they are discarded.
    ///
    /// They are also discarded while the output [is behind](Self::is_behind), so the caller must
    /// not handle frames then, except when it leaves.
    pub fn write(&mut self, bytes: &[u8]) {
        if !self.has_failed && !self.is_behind() {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// Returns whether so many bytes are queued that the client must not read more.
    pub fn is_behind(&self) -> bool {
        self.buffer.len() > MAX_BUFFERED
    }

    /// Writes the queued bytes. Returns when the output is no longer [behind](Self::is_behind) if
    /// it was, and otherwise only after an error.
    ///
    /// If the future is dropped, no byte is lost.
    pub async fn run(&mut self) -> io::Result<()> {
        let was_behind = self.is_behind();
        loop {
            self.start_batch();
            if was_behind && !self.is_behind() {
                return Ok(());
            }
            self.next_result().await?;
        }
    }

    /// Writes the queued bytes, and waits until the last is written.
    ///
    /// # Errors
    ///
    /// Returns the error of the output, unless [`run`](Self::run) has returned it.
    pub async fn flush(&mut self) -> io::Result<()> {
        loop {
            self.start_batch();
            if !self.is_busy {
                return Ok(());
            }
            self.next_result().await?;
        }
    }

    fn start_batch(&mut self) {
        if !self.is_busy && !self.has_failed && !self.buffer.is_empty() {
            self.is_busy = self.batches.try_send(std::mem::take(&mut self.buffer)).is_ok();
        }
    }

    async fn next_result(&mut self) -> io::Result<()> {
        match self.results.recv().await {
            Ok(result) if !self.has_failed => {
                self.is_busy = false;
                self.has_failed = result.is_err();
                if self.has_failed {
                    self.buffer = Vec::new();
                }
                result
            }
            _ => future::pending().await,
        }
    }
}

/// Writes bytes to standard output. Blocks also if another program has made it non-blocking.
pub fn write_stdout(mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(io::stdout(), bytes) {
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                poll(&mut [PollFd::new(&io::stdout(), PollFlags::OUT)], None)?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Waits until the reader has closed the pipe or the socket, or until the terminal is closed.
fn wait_until_closed() {
    let stdout = io::stdout();
    // Without a flag, errors and a closed reader are still reported.
    let mut descriptors = [PollFd::new(&stdout, PollFlags::empty())];
    while let Ok(0) | Err(Errno::INTR | Errno::AGAIN) = poll(&mut descriptors, None) {}
}
