//! The thread that hands text to the line editor, which prints it above the input line.
//!
//! `screen.rs` decides which text is printed and when; this module only passes one batch at a time
//! to rustyline's [`ExternalPrinter`].

use std::thread;
use std::time::Duration;

use async_channel::{Receiver, Sender, bounded};
use futures_lite::future;
use rustyline::ExternalPrinter;
use smol::Timer;

/// A thread that prints one batch of text after another.
///
/// It needs a thread, because the editor accepts a batch only while it waits for a key, and not
/// while it searches the input history.
#[derive(Debug)]
pub struct Printer {
    batches: Sender<String>,
    done: Receiver<()>,
    /// Whether a batch, or the first prompt, is not painted yet.
    is_busy: bool,
}

impl Printer {
    /// Starts the thread. `painted` receives a message each time the editor has painted its line,
    /// the first time when it starts.
    pub fn start(
        mut output: impl ExternalPrinter + Send + 'static,
        painted: Receiver<()>,
    ) -> std::io::Result<Self> {
        let (batches, waiting) = bounded::<String>(1);
        let (done_sender, done) = bounded(1);
        thread::Builder::new().name("printer".into()).spawn(move || {
            while painted.recv_blocking().is_ok() && done_sender.send_blocking(()).is_ok() {
                let Ok(batch) = waiting.recv_blocking() else { break };
                // Discards the messages of paintings that keys caused, not a batch.
                while painted.try_recv().is_ok() {}
                if output.print(batch).is_err() {
                    break;
                }
            }
        })?;
        Ok(Printer { batches, done, is_busy: true })
    }

    /// Returns whether no batch can be printed now.
    pub fn is_busy(&self) -> bool {
        self.is_busy
    }

    /// Prints a batch, which ends with a newline. The printer must not be busy.
    pub fn print(&mut self, batch: String) {
        self.is_busy = true;
        // Ignored: the editor has ended, which also closes the channel of its input.
        let _ = self.batches.try_send(batch);
    }

    /// Waits until the batch is printed; without a batch, or after the editor has ended, forever.
    pub async fn wait_until_printed(&mut self) {
        if !self.is_busy || self.done.recv().await.is_err() {
            future::pending::<()>().await;
        }
        self.is_busy = false;
    }

    /// Waits until the batch is printed, if there is one, but not longer than `timeout`.
    pub async fn wait_with_timeout(&mut self, timeout: Duration) {
        if self.is_busy {
            let timer = async {
                Timer::after(timeout).await;
            };
            future::or(self.wait_until_printed(), timer).await;
        }
    }
}
