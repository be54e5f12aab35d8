//! Writing to the terminal, one batch of text at a time.

use std::io;
use std::time::Duration;

use futures_lite::future;
use rustix::termios::{Action, QueueSelector, tcflow, tcflush};
use smol::{Task, Timer};

use crate::app::output::write_stdout;

/// The only writer of the terminal while the client runs.
///
/// A batch is written in a thread, because writing blocks while the terminal does not read, and
/// because the flag that makes it non-blocking is shared with the shell.
#[derive(Debug, Default)]
pub struct Printer {
    writing: Option<Task<io::Result<()>>>,
}

impl Printer {
    /// Returns whether a batch is being written.
    pub fn is_busy(&self) -> bool {
        self.writing.is_some()
    }

    /// Starts to write a batch. The printer must not be busy.
    pub fn print(&mut self, batch: String) {
        debug_assert!(!self.is_busy(), "batches are written one after another");
        self.writing = Some(smol::unblock(move || write_stdout(batch.as_bytes())));
    }

    /// Waits until the batch is written; without a batch, forever.
    pub async fn wait_until_printed(&mut self) -> io::Result<()> {
        let Some(task) = &mut self.writing else { return future::pending().await };
        let result = task.await;
        self.writing = None;
        result
    }

    /// Waits until the batch is written, if there is one, but not longer than `timeout`. Returns
    /// whether the terminal can be written to.
    pub async fn wait_with_timeout(&mut self, timeout: Duration) -> bool {
        if !self.is_busy() {
            return true;
        }
        let timer = async {
            Timer::after(timeout).await;
            Err(io::ErrorKind::TimedOut.into())
        };
        future::or(self.wait_until_printed(), timer).await.is_ok()
    }

    /// Discards the output that the terminal has not read, so that a blocked write returns.
    pub fn discard_unread(&self) {
        let _ = tcflow(io::stdout(), Action::OOff);
        let _ = tcflush(io::stdout(), QueueSelector::OFlush);
        // Only this makes Linux continue a write that waits for space.
        let _ = tcflow(io::stdout(), Action::OOn);
    }
}
