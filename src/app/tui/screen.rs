//! The screen of the terminal: its modes, and the times at which it is drawn.
//!
//! The [`Composer`] makes the text of each batch, and the [`Printer`] writes it.

use std::future::pending;
use std::io;
use std::time::{Duration, Instant};

use futures_lite::future;
use rustix::process::{Signal, getpid, kill_process};
use rustix::termios::tcgetwinsize;
use smol::Timer;

use super::composer::Composer;
use super::editor::Editor;
use super::modes::TerminalModes;
use super::printer::Printer;
use super::view::View;

/// The number of queued bytes above which the client stops reading from the server.
const MAX_QUEUED_BYTES: usize = 8 << 20;
/// The time without a further change of the window size after which the screen is redrawn, because
/// dragging a window changes it many times.
const REDRAW_DELAY: Duration = Duration::from_millis(100);
/// The time that the terminal has at the end to print all queued output; the rest is lost.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);
/// The time that it then has to print the end of the last batch.
const DISCARD_TIMEOUT: Duration = Duration::from_millis(100);
/// The time after which unread output is discarded again: a terminal keeps less than a batch.
const DISCARD_INTERVAL: Duration = Duration::from_millis(2);

/// The terminal that shows the output of a [`View`] above the input line of an [`Editor`].
#[derive(Debug)]
pub struct Screen {
    printer: Printer,
    modes: TerminalModes,
    composer: Composer,
    redraw_timer: Option<Timer>,
}

impl Screen {
    /// Sets the modes of the editor.
    pub fn new(modes: TerminalModes) -> io::Result<Self> {
        let mut screen = Screen {
            printer: Printer::default(),
            modes,
            composer: Composer::new(terminal_size()),
            redraw_timer: None,
        };
        screen.start_editing()?;
        Ok(screen)
    }

    /// Returns whether so much output is queued that the client must not read more.
    pub fn is_behind(&self) -> bool {
        self.composer.queued_bytes() > MAX_QUEUED_BYTES
    }

    /// Sets the status line, which must fit into one row.
    pub fn set_status(&mut self, status: Option<String>) {
        self.composer.set_status(status);
    }

    /// Redraws the screen after [`REDRAW_DELAY`].
    pub fn request_redraw(&mut self) {
        self.redraw_timer = Some(Timer::after(REDRAW_DELAY));
    }

    /// Clears the screen and the queue.
    pub fn clear(&mut self) {
        self.composer.clear();
    }

    /// Prints the next batch, unless the printer is busy.
    pub fn flush(&mut self, view: &mut View, editor: &Editor) {
        if self.printer.is_busy() {
            // Counts the output, so that the client stops reading in time.
            self.composer.queue_output(view);
        } else if let Some(batch) = self.composer.compose(view, editor) {
            self.printer.print(batch);
        }
    }

    /// Waits until [`flush`](Self::flush) may have something to print.
    ///
    /// # Errors
    ///
    /// Returns an error if the terminal cannot be written to.
    pub async fn wait_ready(&mut self) -> io::Result<()> {
        let Screen { printer, redraw_timer, .. } = self;
        let printed = async { printer.wait_until_printed().await.map(|()| false) };
        let redraw_due = async {
            match redraw_timer {
                Some(timer) => timer.await,
                None => pending().await,
            };
            Ok(true)
        };
        if future::or(printed, redraw_due).await? {
            self.redraw_timer = None;
            self.composer.resize(terminal_size());
        }
        Ok(())
    }

    /// Restores the terminal and stops the program, like Ctrl-Z. Returns when it is continued.
    pub async fn suspend(&mut self, editor: &Editor) {
        let is_writable = self.printer.wait_with_timeout(CLOSE_TIMEOUT).await;
        self.end_editing(editor, is_writable).await;
        let _ = kill_process(getpid(), Signal::STOP);
    }

    /// Sets the modes of the editor and redraws the screen, after the program was stopped.
    pub fn resume(&mut self) {
        // Ignored: if the terminal is closed, reading it fails.
        let _ = self.start_editing();
        self.request_redraw();
    }

    /// Prints the queued output and restores the terminal.
    pub async fn close(&mut self, view: &mut View, editor: &Editor) {
        self.set_status(None);
        let deadline = Instant::now() + CLOSE_TIMEOUT;
        let is_writable = loop {
            let timeout = deadline.saturating_duration_since(Instant::now());
            if !self.printer.wait_with_timeout(timeout).await {
                break false;
            }
            self.flush(view, editor);
            if !self.printer.is_busy() {
                break true;
            }
        };
        self.end_editing(editor, is_writable).await;
    }

    fn start_editing(&mut self) -> io::Result<()> {
        self.modes.start_editing()?;
        self.composer.start();
        Ok(())
    }

    /// Leaves the cursor in an empty line and restores the modes. `is_writable` says whether the
    /// terminal reads its output.
    async fn end_editing(&mut self, editor: &Editor, mut is_writable: bool) {
        let deadline = Instant::now() + DISCARD_TIMEOUT;
        while !is_writable && Instant::now() < deadline {
            self.printer.discard_unread();
            is_writable = self.printer.wait_with_timeout(DISCARD_INTERVAL).await;
        }
        if is_writable {
            self.printer.print(self.composer.compose_end(editor));
            self.printer.wait_with_timeout(DISCARD_TIMEOUT).await;
        }
        self.modes.restore();
    }
}

/// Returns the columns and rows of the terminal.
pub fn terminal_size() -> (usize, usize) {
    match tcgetwinsize(io::stdout()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col.into(), size.ws_row.into()),
        _ => (80, 24),
    }
}
