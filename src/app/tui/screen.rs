//! The queue of output for the terminal, and when the screen is drawn again.
//!
//! [`Canvas`] takes the text of the [`View`] and the [`Editor`] and composes batches of it, without
//! I/O. [`Screen`] writes them with the [`Printer`] and sets the modes of the terminal.

use std::collections::VecDeque;
use std::future::pending;
use std::io;
use std::time::{Duration, Instant};

use futures_lite::future;
use rustix::process::{Signal, getpid, kill_process};
use rustix::termios::tcgetwinsize;
use smol::Timer;

use super::editor::Editor;
use super::footer::Footer;
use super::modes::{DISABLE_REPORTS, ENABLE_REPORTS, TerminalModes};
use super::printer::Printer;
use super::view::View;

/// The size of a batch for the terminal, in bytes.
const BATCH_BYTES: usize = 32 << 10;
/// The number of queued bytes above which the client stops reading from the server.
const MAX_QUEUED_BYTES: usize = 8 << 20;
/// The time without a further change of the window size after which the screen is redrawn, because
/// dragging a window changes it many times.
const REDRAW_DELAY: Duration = Duration::from_millis(100);
/// The time that the terminal has at the end to print all queued output; the rest is lost.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);
/// The time that it then has to print the end of the last batch, and the time after which unread
/// output is discarded again: a terminal keeps less than a batch.
const DISCARD_TIMEOUT: Duration = Duration::from_millis(100);
const DISCARD_INTERVAL: Duration = Duration::from_millis(2);
/// Moves the cursor to the upper left corner and erases the screen.
const ERASE_SCREEN: &str = "\x1b[H\x1b[J";

/// The terminal: what is printed on it, and its modes.
#[derive(Debug)]
pub struct Screen {
    printer: Printer,
    modes: TerminalModes,
    canvas: Canvas,
    redraw_timer: Option<Timer>,
}

/// The output queue, and the footer that is drawn below all other lines.
#[derive(Debug)]
pub struct Canvas {
    /// The columns and rows of the terminal when it was drawn.
    size: (usize, usize),
    queue: BatchQueue,
    is_bell_due: bool,
    /// The line between the other lines and the input line.
    status: Option<String>,
    footer: Footer,
    redraw: Option<Redraw>,
    /// The text before the next batch.
    prefix: &'static str,
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

impl Canvas {
    /// Returns an empty canvas for a terminal with these columns and rows.
    pub fn new(size: (usize, usize)) -> Self {
        Canvas {
            size,
            queue: BatchQueue::default(),
            is_bell_due: false,
            status: None,
            footer: Footer::default(),
            redraw: None,
            prefix: "",
        }
    }

    /// Sets the status line, which must fit into one row.
    pub fn set_status(&mut self, status: Option<String>) {
        self.status = status;
    }

    /// Redraws everything after the queued lines, for a terminal of another size.
    pub fn resize(&mut self, size: (usize, usize)) {
        self.size = size;
        self.redraw = Some(Redraw::Entries);
    }

    /// Queues the output of the view, and returns the next batch if there is something to draw.
    pub fn compose(&mut self, view: &mut View, editor: &Editor) -> Option<String> {
        self.queue_output(view);
        let (columns, rows) = self.size;
        view.columns = columns;
        // The rest of the rows is for what arrives.
        let input_rows = rows * 2 / 3;
        let has_colors = view.settings.has_colors;
        let status = self.status.as_deref();
        let footer = Footer::new(status, &editor.view(), (columns, input_rows), has_colors);
        if self.queue.is_empty() && self.redraw.is_none() && footer == self.footer {
            return None;
        }
        let mut batch = std::mem::take(&mut self.prefix).to_owned();
        if std::mem::take(&mut self.is_bell_due) {
            batch.push('\x07');
        }
        self.footer.write_erase(&mut batch);
        // The latest entries may still be in the queue, and would be shown twice.
        let is_due = |redraw: &mut Redraw| *redraw == Redraw::Empty || self.queue.is_empty();
        if let Some(redraw) = self.redraw.take_if(is_due) {
            self.write_redraw(redraw, view, footer.row_count(), &mut batch);
        }
        if let Some(lines) = self.queue.pop() {
            batch.push_str(&lines);
        }
        footer.write(&mut batch);
        self.footer = footer;
        Some(batch)
    }

    /// Returns the text that leaves the cursor in an empty line. A line that the user has typed
    /// stays above it.
    pub fn compose_end(&mut self, editor: &Editor) -> String {
        let mut text = String::new();
        let footer = std::mem::take(&mut self.footer);
        match editor.is_empty() {
            true => footer.write_erase(&mut text),
            false => footer.write_leave(&mut text),
        }
        text + DISABLE_REPORTS
    }

    fn queue_output(&mut self, view: &mut View) {
        let (lines, is_bell_due) = view.take_output();
        self.queue.push(&lines);
        self.is_bell_due |= is_bell_due;
    }

    /// Appends the control sequences and the lines of a redraw above a footer.
    fn write_redraw(
        &self,
        redraw: Redraw,
        view: &mut View,
        footer_rows: usize,
        batch: &mut String,
    ) {
        if redraw == Redraw::Empty {
            batch.push_str(ERASE_SCREEN);
            return;
        }
        let rows = self.size.1;
        let lines = view.format_screen(rows.saturating_sub(footer_rows));
        if lines.lines().count() + footer_rows < rows {
            // The screen has lines from before the program started: scroll them out, do not erase
            // them.
            batch.extend(std::iter::repeat_n('\n', rows));
        }
        batch.push_str(ERASE_SCREEN);
        batch.push_str(&lines);
    }
}

impl Screen {
    /// Sets the modes of the editor.
    pub fn new(modes: TerminalModes) -> io::Result<Self> {
        let mut screen = Screen {
            printer: Printer::default(),
            modes,
            canvas: Canvas::new(terminal_size()),
            redraw_timer: None,
        };
        screen.start_editing()?;
        Ok(screen)
    }

    /// Returns whether so much output is queued that the client must not read more.
    pub fn is_behind(&self) -> bool {
        self.canvas.queue.bytes > MAX_QUEUED_BYTES
    }

    /// Sets the status line, which must fit into one row.
    pub fn set_status(&mut self, status: Option<String>) {
        self.canvas.set_status(status);
    }

    /// Redraws the screen after [`REDRAW_DELAY`].
    pub fn request_redraw(&mut self) {
        self.redraw_timer = Some(Timer::after(REDRAW_DELAY));
    }

    /// Clears the screen and the queue.
    pub fn clear(&mut self) {
        self.canvas.queue = BatchQueue::default();
        self.canvas.redraw = Some(Redraw::Empty);
    }

    /// Prints the next batch, unless the printer is busy.
    pub fn flush(&mut self, view: &mut View, editor: &Editor) {
        if self.printer.is_busy() {
            // Counts the output, so that the client stops reading in time.
            self.canvas.queue_output(view);
        } else if let Some(batch) = self.canvas.compose(view, editor) {
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
            self.canvas.resize(terminal_size());
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
        self.canvas.prefix = ENABLE_REPORTS;
        self.canvas.footer = Footer::default();
        Ok(())
    }

    /// Leaves the cursor in an empty line and restores the modes. `is_writable` says whether the
    /// terminal prints what is written to it.
    async fn end_editing(&mut self, editor: &Editor, mut is_writable: bool) {
        let deadline = Instant::now() + DISCARD_TIMEOUT;
        while !is_writable && Instant::now() < deadline {
            self.printer.discard_unread();
            is_writable = self.printer.wait_with_timeout(DISCARD_INTERVAL).await;
        }
        if is_writable {
            self.printer.print(self.canvas.compose_end(editor));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::tui::entry::EntryKind;
    use crate::app::tui::input_history::InputHistory;
    use crate::app::tui::view::ViewSettings;
    use crate::app::{Bell, Clock};

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

    #[test]
    fn redraw_waits_for_queued_lines() {
        let settings = ViewSettings {
            has_colors: false,
            bell: Bell::Never,
            has_timestamps: true,
            highlights: Vec::new(),
            has_presence: true,
        };
        let mut view = View::new(settings, Clock::default(), 80, 0);
        let editor = Editor::new(InputHistory::default());
        let mut canvas = Canvas::new((80, 24));
        for number in 0..2_000 {
            view.show_notice(EntryKind::Info, &format!("line {number} {}", "x".repeat(50)));
        }
        let mut output = canvas.compose(&mut view, &editor).unwrap();
        assert!(!canvas.queue.is_empty());
        canvas.resize((60, 20));
        output.extend(std::iter::from_fn(|| canvas.compose(&mut view, &editor)));
        let (before, after) = output.split_once(ERASE_SCREEN).unwrap();
        let count = |text: &str| text.matches("line ").count();
        assert!((count(before), count(after)) == (2_000, 9), "{after}");
    }
}
