//! The terminal above the line that is typed: what is to be printed there, and when.

use std::future::pending;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::{Signal, getpid, kill_process};
use rustix::termios::tcgetwinsize;
use smol::Timer;

use super::modes::{TerminalModes, write_to_terminal};
use super::printer::Printer;
use super::view::View;

/// Bytes that go to the terminal at once. Between two batches the editor takes keys.
const BATCH_BYTES: usize = 32 << 10;
/// Bytes that may wait for the terminal. Then nothing more is taken from the server, which waits
/// in turn.
const MAX_QUEUED_BYTES: usize = 8 << 20;
/// How long the terminal must keep its size before it is painted anew: the editor has to know it
/// by then, and a window that is dragged changes it many times.
const REDRAW_DELAY: Duration = Duration::from_millis(100);
/// How long the terminal may take for what it is told last. That is a moment, but on a machine that
/// is busy with other things; what is not printed by then is lost.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);
/// To the line above, and wipes it.
const WIPE_ABOVE: &str = "\x1b[A\r\x1b[K";
/// To the upper left corner, and wipes all.
const WIPE_ALL: &str = "\x1b[H\x1b[J";

/// What is to be printed, and what stands there.
#[derive(Debug)]
pub struct Screen {
    printer: Printer,
    modes: TerminalModes,
    queued: String,
    is_bell_due: bool,
    /// The line that stays below all others, and is replaced by the next.
    status: Option<String>,
    is_status_shown: bool,
    is_status_new: bool,
    redraw_timer: Option<Timer>,
    repaint: Option<Repaint>,
}

/// How the screen is painted anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Repaint {
    /// With what was shown.
    All,
    /// Empty.
    Empty,
}

impl Screen {
    /// An empty one.
    pub fn new(printer: Printer, modes: TerminalModes) -> Self {
        Screen {
            printer,
            modes,
            queued: String::new(),
            is_bell_due: false,
            status: None,
            is_status_shown: false,
            is_status_new: false,
            redraw_timer: None,
            repaint: None,
        }
    }

    /// Whether the terminal is so far behind that nothing more should come.
    pub fn is_behind(&self) -> bool {
        self.queued.len() > MAX_QUEUED_BYTES
    }

    /// Sets the line that stays below all others, given with its newline.
    pub fn set_status(&mut self, status: Option<String>) {
        if self.status != status {
            self.status = status;
            self.is_status_new = true;
        }
    }

    /// The terminal has another size, or something else was written to it.
    pub fn request_redraw(&mut self) {
        self.redraw_timer = Some(Timer::after(REDRAW_DELAY));
    }

    /// Empties the screen.
    pub fn clear(&mut self) {
        self.queued.clear();
        self.repaint = Some(Repaint::Empty);
    }

    /// Prints what there is to be printed, if the printer is free: all of it in one go, so that a
    /// burst costs no more than a few writes.
    pub fn flush(&mut self, view: &mut View) {
        let (text, is_bell_due) = view.take_output();
        self.queued.push_str(&text);
        self.is_bell_due |= is_bell_due;
        if self.printer.is_busy() {
            return;
        }
        if self.queued.is_empty() && !self.is_status_new && self.repaint.is_none() {
            return;
        }
        let mut batch = String::new();
        if std::mem::take(&mut self.is_bell_due) {
            batch.push('\x07');
        }
        match self.repaint.take() {
            Some(kind) => {
                self.is_status_shown = false;
                self.repaint(kind, view, &mut batch);
            }
            None if std::mem::take(&mut self.is_status_shown) => batch.push_str(WIPE_ABOVE),
            None => {}
        }
        let end = match self.queued.as_bytes().get(..BATCH_BYTES) {
            // The last line end before it; the longest line is far shorter.
            Some(bytes) => {
                bytes.iter().rposition(|byte| *byte == b'\n').map_or(BATCH_BYTES, |end| end + 1)
            }
            None => self.queued.len(),
        };
        batch.extend(self.queued.drain(..end));
        if self.queued.is_empty() {
            // A burst must not be paid for ever after.
            self.queued.shrink_to(BATCH_BYTES);
            self.is_status_new = false;
            if let Some(status) = &self.status {
                batch.push_str(status);
                self.is_status_shown = true;
            }
        }
        self.printer.print(batch);
    }

    fn repaint(&mut self, kind: Repaint, view: &mut View, batch: &mut String) {
        let (columns, rows) = terminal_size();
        view.columns = columns;
        if kind == Repaint::Empty {
            batch.push_str(WIPE_ALL);
            return;
        }
        // What waits was laid out for the old size, and what is kept has the last of it.
        let screen = view.repaint(rows.saturating_sub(1));
        if screen.lines().count() + 1 < rows {
            // There is more on the screen than what we have shown: it is moved out, not wiped.
            batch.extend(std::iter::repeat_n('\n', rows));
        }
        batch.push_str(WIPE_ALL);
        batch.push_str(&screen);
    }

    /// Waits until there is something to be [flushed](Self::flush).
    pub async fn wait_ready(&mut self) {
        let Screen { printer, modes, redraw_timer, repaint, .. } = self;
        let printed = async {
            printer.wait_until_idle().await;
            modes.save_editing();
        };
        let redraw_timer = async {
            match redraw_timer {
                Some(timer) => timer.await,
                None => pending().await,
            };
            *repaint = Some(Repaint::All);
        };
        futures_lite::future::or(printed, redraw_timer).await;
        if self.repaint.is_some() {
            self.redraw_timer = None;
        }
    }

    /// Stops the program, as the shell's Ctrl-Z does, with the terminal as it was. It returns when
    /// the program is continued.
    pub fn suspend(&mut self) {
        self.modes.restore();
        let _ = write_to_terminal("\r\n");
        let _ = kill_process(getpid(), Signal::STOP);
    }

    /// The program goes on, after it was stopped by whatever means.
    pub fn resume(&mut self) {
        self.modes.set_editing();
        self.request_redraw();
    }

    /// Prints what is left and gives the terminal back. `is_empty` tells whether nothing is typed.
    pub async fn close(&mut self, view: &mut View, is_empty: &AtomicBool) {
        self.set_status(None);
        let deadline = std::time::Instant::now() + CLOSE_TIMEOUT;
        loop {
            self.printer
                .wait_printed(deadline.saturating_duration_since(std::time::Instant::now()))
                .await;
            if self.printer.is_busy() {
                break;
            }
            self.flush(view);
            if !self.printer.is_busy() {
                break;
            }
        }
        self.modes.restore();
        // The prompt goes, but not what somebody has typed.
        let below = if is_empty.load(Ordering::Relaxed) { "\r\x1b[J" } else { "\r\n\x1b[J" };
        let _ = write_to_terminal(&format!("{below}{}", self.queued));
    }
}

/// Columns and rows of the terminal.
pub fn terminal_size() -> (usize, usize) {
    match tcgetwinsize(io::stdout()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col.into(), size.ws_row.into()),
        _ => (80, 24),
    }
}
