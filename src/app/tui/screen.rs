//! The terminal above the line that is typed: what is to be printed there, and when.

use std::future::pending;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::{Signal, getpid, kill_process};
use rustix::termios::tcgetwinsize;
use smol::Timer;

use super::modes::{Modes, write_out};
use super::printer::Printer;
use super::view::View;

/// Bytes that go to the terminal at once. Between two batches the editor takes keys.
const BATCH: usize = 32 << 10;
/// Bytes that may wait for the terminal. Then nothing more is taken from the server, which waits
/// in turn.
const WAITING: usize = 8 << 20;
/// How long the terminal must keep its size before it is painted anew: the editor has to know it
/// by then, and a window that is dragged changes it many times.
const RESIZED: Duration = Duration::from_millis(100);
/// How long the terminal may take for what it is told last. That is a moment, but on a machine that
/// is busy with other things; what is not printed by then is lost.
const LAST_WORDS: Duration = Duration::from_secs(3);
/// To the line above, and wipes it.
const WIPE_ABOVE: &str = "\x1b[A\r\x1b[K";
/// To the upper left corner, and wipes all.
const WIPE_ALL: &str = "\x1b[H\x1b[J";

/// What is to be printed, and what stands there.
#[derive(Debug)]
pub struct Screen {
    printer: Printer,
    modes: Modes,
    waiting: String,
    rings: bool,
    /// The line that stays below all others, and is replaced by the next.
    status: Option<String>,
    status_is_shown: bool,
    status_is_new: bool,
    resized: Option<Timer>,
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
    pub fn new(printer: Printer, modes: Modes) -> Self {
        Screen {
            printer,
            modes,
            waiting: String::new(),
            rings: false,
            status: None,
            status_is_shown: false,
            status_is_new: false,
            resized: None,
            repaint: None,
        }
    }

    /// Whether the terminal is so far behind that nothing more should come.
    pub fn is_behind(&self) -> bool {
        self.waiting.len() > WAITING
    }

    /// Sets the line that stays below all others, given with its newline.
    pub fn set_status(&mut self, status: Option<String>) {
        if self.status != status {
            self.status = status;
            self.status_is_new = true;
        }
    }

    /// The terminal has another size, or something else was written to it.
    pub fn request_redraw(&mut self) {
        self.resized = Some(Timer::after(RESIZED));
    }

    /// Empties the screen.
    pub fn clear(&mut self) {
        self.waiting.clear();
        self.repaint = Some(Repaint::Empty);
    }

    /// Prints what there is to be printed, if the printer is free: all of it in one go, so that a
    /// burst costs no more than a few writes.
    pub fn flush(&mut self, view: &mut View) {
        let (text, rings) = view.take();
        self.waiting.push_str(&text);
        self.rings |= rings;
        if self.printer.is_busy() {
            return;
        }
        if self.waiting.is_empty() && !self.status_is_new && self.repaint.is_none() {
            return;
        }
        let mut batch = String::new();
        if std::mem::take(&mut self.rings) {
            batch.push('\x07');
        }
        match self.repaint.take() {
            Some(kind) => {
                self.status_is_shown = false;
                self.paint_anew(kind, view, &mut batch);
            }
            None if std::mem::take(&mut self.status_is_shown) => batch.push_str(WIPE_ABOVE),
            None => {}
        }
        let end = match self.waiting.as_bytes().get(..BATCH) {
            // The last line end before it; the longest line is far shorter.
            Some(bytes) => {
                bytes.iter().rposition(|byte| *byte == b'\n').map_or(BATCH, |end| end + 1)
            }
            None => self.waiting.len(),
        };
        batch.extend(self.waiting.drain(..end));
        if self.waiting.is_empty() {
            // A burst must not be paid for ever after.
            self.waiting.shrink_to(BATCH);
            self.status_is_new = false;
            if let Some(status) = &self.status {
                batch.push_str(status);
                self.status_is_shown = true;
            }
        }
        self.printer.print(batch);
    }

    fn paint_anew(&mut self, kind: Repaint, view: &mut View, batch: &mut String) {
        let (columns, rows) = size();
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
    pub async fn changed(&mut self) {
        let Screen { printer, modes, resized, repaint, .. } = self;
        let printed = async {
            printer.printed().await;
            modes.save_editing();
        };
        let resized = async {
            match resized {
                Some(timer) => timer.await,
                None => pending().await,
            };
            *repaint = Some(Repaint::All);
        };
        futures_lite::future::or(printed, resized).await;
        if self.repaint.is_some() {
            self.resized = None;
        }
    }

    /// Stops the program, as the shell's Ctrl-Z does, with the terminal as it was. It returns when
    /// the program is continued.
    pub fn stop(&mut self) {
        self.modes.leave();
        let _ = write_out("\r\n");
        let _ = kill_process(getpid(), Signal::STOP);
    }

    /// The program goes on, after it was stopped by whatever means.
    pub fn go_on(&mut self) {
        self.modes.enter_again();
        self.request_redraw();
    }

    /// Prints what is left and gives the terminal back. `is_empty` tells whether nothing is typed.
    pub async fn close(&mut self, view: &mut View, is_empty: &AtomicBool) {
        self.set_status(None);
        let until = std::time::Instant::now() + LAST_WORDS;
        loop {
            self.printer.settle(until.saturating_duration_since(std::time::Instant::now())).await;
            if self.printer.is_busy() {
                break;
            }
            self.flush(view);
            if !self.printer.is_busy() {
                break;
            }
        }
        self.modes.leave();
        // The prompt goes, but not what somebody has typed.
        let below = if is_empty.load(Ordering::Relaxed) { "\r\x1b[J" } else { "\r\n\x1b[J" };
        let _ = write_out(&format!("{below}{}", self.waiting));
    }
}

/// Columns and rows of the terminal.
pub fn size() -> (usize, usize) {
    match tcgetwinsize(io::stdout()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col.into(), size.ws_row.into()),
        _ => (80, 24),
    }
}
