//! The queue of output for the terminal, and when the screen is drawn again.
//!
//! It takes the text of the [`View`], splits it into batches and gives them to the [`Printer`], the
//! thread through which the line editor prints them above the input line.

use std::collections::VecDeque;
use std::future::pending;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_lite::future;
use rustix::process::{Signal, getpid, kill_process};
use rustix::termios::tcgetwinsize;
use smol::Timer;

use super::modes::{TerminalModes, write_to_terminal};
use super::printer::Printer;
use super::view::View;

/// The size of a batch for the terminal, in bytes. Between two batches the editor handles keys.
const BATCH_BYTES: usize = 32 << 10;
/// The number of queued bytes above which the client stops reading from the server.
const MAX_QUEUED_BYTES: usize = 8 << 20;
/// The time without a further change of the window size after which the screen is redrawn.
///
/// The editor must have noticed the new size by then, and dragging a window changes it many times.
const REDRAW_DELAY: Duration = Duration::from_millis(100);
/// The time that the terminal has at the end to print all queued output; the rest is lost.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);
/// Moves the cursor to the line above and erases it.
const ERASE_LINE_ABOVE: &str = "\x1b[A\r\x1b[K";
/// Moves the cursor to the upper left corner and erases the screen.
const ERASE_SCREEN: &str = "\x1b[H\x1b[J";

/// The output queue of the terminal, and the state of the screen.
#[derive(Debug)]
pub struct Screen {
    printer: Printer,
    modes: TerminalModes,
    queue: BatchQueue,
    is_bell_due: bool,
    /// The line below all others, which the next status line replaces.
    status: Option<String>,
    is_status_shown: bool,
    is_status_new: bool,
    redraw_timer: Option<Timer>,
    redraw: Option<Redraw>,
}

/// A redraw of the whole screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Redraw {
    /// With the latest entries.
    Entries,
    Empty,
}

/// Lines that wait for the terminal, collected into batches of about [`BATCH_BYTES`].
#[derive(Debug, Default)]
struct BatchQueue {
    batches: VecDeque<String>,
    bytes: usize,
}

impl BatchQueue {
    /// Appends lines, each with its newline. No line is split between batches.
    fn push(&mut self, lines: &str) {
        self.bytes += lines.len();
        for line in lines.split_inclusive('\n') {
            match self.batches.back_mut() {
                Some(batch) if batch.len() + line.len() <= BATCH_BYTES => batch.push_str(line),
                _ => self.batches.push_back(line.to_owned()),
            }
        }
    }

    fn pop(&mut self) -> Option<String> {
        let batch = self.batches.pop_front()?;
        self.bytes -= batch.len();
        Some(batch)
    }

    fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }
}

impl Screen {
    pub fn new(printer: Printer, modes: TerminalModes) -> Self {
        Screen {
            printer,
            modes,
            queue: BatchQueue::default(),
            is_bell_due: false,
            status: None,
            is_status_shown: false,
            is_status_new: false,
            redraw_timer: None,
            redraw: None,
        }
    }

    /// Returns whether so much output is queued that the client must not read more.
    pub fn is_behind(&self) -> bool {
        self.queue.bytes > MAX_QUEUED_BYTES
    }

    /// Sets the status line, given with its newline.
    pub fn set_status(&mut self, status: Option<String>) {
        if self.status != status {
            self.status = status;
            self.is_status_new = true;
        }
    }

    /// Redraws the screen after [`REDRAW_DELAY`].
    pub fn request_redraw(&mut self) {
        self.redraw_timer = Some(Timer::after(REDRAW_DELAY));
    }

    /// Clears the screen and the queue.
    pub fn clear(&mut self) {
        self.queue = BatchQueue::default();
        self.redraw = Some(Redraw::Empty);
    }

    /// Queues the output of the view and prints the next batch, unless the printer is busy.
    pub fn flush(&mut self, view: &mut View) {
        let (lines, is_bell_due) = view.take_output();
        self.queue.push(&lines);
        self.is_bell_due |= is_bell_due;
        if self.printer.is_busy() {
            return;
        }
        if self.queue.is_empty() && !self.is_status_new && self.redraw.is_none() {
            return;
        }
        let mut batch = String::new();
        if std::mem::take(&mut self.is_bell_due) {
            batch.push('\x07');
        }
        match self.redraw.take() {
            Some(redraw) => {
                self.is_status_shown = false;
                write_redraw(redraw, view, &mut batch);
            }
            None if std::mem::take(&mut self.is_status_shown) => batch.push_str(ERASE_LINE_ABOVE),
            None => {}
        }
        if let Some(lines) = self.queue.pop() {
            batch.push_str(&lines);
        }
        if self.queue.is_empty() {
            self.is_status_new = false;
            if let Some(status) = &self.status {
                batch.push_str(status);
                self.is_status_shown = true;
            }
        }
        self.printer.print(batch);
    }

    /// Waits until [`flush`](Self::flush) may have something to print.
    pub async fn wait_ready(&mut self) {
        let Screen { printer, modes, redraw_timer, redraw, .. } = self;
        let printed = async {
            printer.wait_until_printed().await;
            modes.save_editing();
        };
        let redraw_due = async {
            match redraw_timer {
                Some(timer) => timer.await,
                None => pending().await,
            };
            *redraw = Some(Redraw::Entries);
        };
        future::or(printed, redraw_due).await;
        if self.redraw.is_some() {
            self.redraw_timer = None;
        }
    }

    /// Restores the terminal and stops the program, like Ctrl-Z. Returns when it is continued.
    pub fn suspend(&mut self) {
        self.modes.restore();
        let _ = write_to_terminal("\r\n");
        let _ = kill_process(getpid(), Signal::STOP);
    }

    /// Sets the modes of the editor and redraws the screen, after the program was stopped.
    pub fn resume(&mut self) {
        self.modes.set_editing();
        self.request_redraw();
    }

    /// Prints the queued output and restores the terminal.
    pub async fn close(&mut self, view: &mut View, is_line_empty: &AtomicBool) {
        self.set_status(None);
        let deadline = Instant::now() + CLOSE_TIMEOUT;
        loop {
            let timeout = deadline.saturating_duration_since(Instant::now());
            self.printer.wait_with_timeout(timeout).await;
            if self.printer.is_busy() {
                break;
            }
            self.flush(view);
            if !self.printer.is_busy() {
                break;
            }
        }
        self.modes.restore();
        // The prompt is erased, but not a line that the user has typed.
        let erase = if is_line_empty.load(Ordering::Relaxed) { "\r\x1b[J" } else { "\r\n\x1b[J" };
        let _ = write_to_terminal(erase);
        while let Some(batch) = self.queue.pop() {
            let _ = write_to_terminal(&batch);
        }
    }
}

/// Appends the control sequences and the lines of a redraw.
fn write_redraw(redraw: Redraw, view: &mut View, batch: &mut String) {
    let (columns, rows) = terminal_size();
    view.columns = columns;
    if redraw == Redraw::Empty {
        batch.push_str(ERASE_SCREEN);
        return;
    }
    let lines = view.format_screen(rows.saturating_sub(1));
    if lines.lines().count() + 1 < rows {
        // The screen has lines from before the program started: scroll them out, do not erase them.
        batch.extend(std::iter::repeat_n('\n', rows));
    }
    batch.push_str(ERASE_SCREEN);
    batch.push_str(&lines);
}

/// Returns the columns and rows of the terminal.
pub fn terminal_size() -> (usize, usize) {
    match tcgetwinsize(io::stdout()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col.into(), size.ws_row.into()),
        _ => (80, 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queue_keeps_lines_whole_and_in_order() {
        let mut queue = BatchQueue::default();
        let lines: Vec<String> = (0..5_000).map(|number| format!("line {number}\n")).collect();
        lines.iter().for_each(|line| queue.push(line));
        queue.push(&lines.concat());
        assert_eq!(queue.bytes, 2 * lines.concat().len());
        let batches: Vec<String> = std::iter::from_fn(|| queue.pop()).collect();
        assert!(batches.iter().all(|batch| batch.len() <= BATCH_BYTES && batch.ends_with('\n')));
        assert_eq!(batches.concat(), lines.concat().repeat(2));
        assert_eq!(queue.bytes, 0);
    }

    #[test]
    fn line_longer_than_a_batch_is_not_split() {
        let mut queue = BatchQueue::default();
        let long = "x".repeat(BATCH_BYTES + 1) + "\n";
        queue.push(&format!("short\n{long}short\n"));
        assert_eq!(queue.pop().as_deref(), Some("short\n"));
        assert_eq!(queue.pop(), Some(long));
        assert_eq!(queue.pop().as_deref(), Some("short\n"));
        assert_eq!(queue.pop(), None);
    }
}
