//! The way to the terminal: what arrives is printed above what is typed.

use std::thread;
use std::time::Duration;

use async_channel::{Receiver, Sender, bounded};
use futures_lite::future;
use rustyline::ExternalPrinter;
use smol::Timer;

/// Prints one batch after another, in a thread of its own: the editor takes a batch when it waits
/// for a key, and while it searches in what was typed it does not.
#[derive(Debug)]
pub struct Printer {
    batches: Sender<String>,
    done: Receiver<()>,
    /// A batch is on its way, or the first prompt is.
    is_busy: bool,
}

impl Printer {
    /// `painted` tells each time that the editor has painted its line: first when it begins.
    pub fn start(
        mut to: impl ExternalPrinter + Send + 'static,
        painted: Receiver<()>,
    ) -> std::io::Result<Self> {
        let (batches, waiting) = bounded::<String>(1);
        let (done_sender, done) = bounded(1);
        thread::Builder::new().name("printer".into()).spawn(move || {
            while painted.recv_blocking().is_ok() && done_sender.send_blocking(()).is_ok() {
                let Ok(batch) = waiting.recv_blocking() else { break };
                // The line is painted for each key, too.
                while painted.try_recv().is_ok() {}
                if to.print(batch).is_err() {
                    break;
                }
            }
        })?;
        Ok(Printer { batches, done, is_busy: true })
    }

    /// Whether it takes no batch now.
    pub fn is_busy(&self) -> bool {
        self.is_busy
    }

    /// Prints a batch, which ends with a newline. There must be none on its way.
    pub fn print(&mut self, batch: String) {
        self.is_busy = true;
        // Where nobody prints any more, the editor has ended, and that is noticed elsewhere.
        let _ = self.batches.try_send(batch);
    }

    /// Waits until the batch is printed. If there is none, or nobody prints any more, for ever.
    pub async fn wait_until_idle(&mut self) {
        if !self.is_busy || self.done.recv().await.is_err() {
            future::pending::<()>().await;
        }
        self.is_busy = false;
    }

    /// Waits until the batch is printed, if there is one, but not for long.
    pub async fn wait_printed(&mut self, timeout: Duration) {
        if self.is_busy {
            let timer = async {
                Timer::after(timeout).await;
            };
            future::or(self.wait_until_idle(), timer).await;
        }
    }
}
