//! The queue of lines for the terminal, and the text of each batch. Does no I/O.

use std::collections::VecDeque;

use super::editor::Editor;
use super::footer::Footer;
use super::modes::{DISABLE_REPORTS, ENABLE_REPORTS};
use super::view::View;

/// The size of a batch for the terminal, in bytes.
const BATCH_BYTES: usize = 32 << 10;
/// Moves the cursor to the upper left corner and erases the screen.
const ERASE_SCREEN: &str = "\x1b[H\x1b[J";

/// Combines the lines of the [`View`] with the input line of the [`Editor`], which is below them,
/// into batches of text for the terminal.
#[derive(Debug)]
pub struct Composer {
    /// The columns and rows of the terminal.
    size: (usize, usize),
    queue: BatchQueue,
    is_bell_due: bool,
    /// The line between the other lines and the input line.
    status: Option<String>,
    /// The footer at the end of the last batch.
    footer: Footer,
    redraw: Option<Redraw>,
    /// The control sequences before the next batch.
    prefix: &'static str,
}

/// A redraw of the whole screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Redraw {
    /// With the latest entries.
    Entries,
    Empty,
}

impl Composer {
    /// Creates a composer for a terminal with these columns and rows.
    pub fn new(size: (usize, usize)) -> Self {
        Composer {
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

    /// Enables the reports of the terminal in the next batch, which starts in an empty line.
    pub fn start(&mut self) {
        self.prefix = ENABLE_REPORTS;
        self.footer = Footer::default();
    }

    /// Clears the screen and the queue.
    pub fn clear(&mut self) {
        self.queue = BatchQueue::default();
        self.redraw = Some(Redraw::Empty);
    }

    /// Returns the number of bytes that wait for the terminal.
    pub fn queued_bytes(&self) -> usize {
        self.queue.bytes
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
        // The other rows show the lines that arrive.
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

    /// Moves the output of the view to the queue.
    pub fn queue_output(&mut self, view: &mut View) {
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
        let mut composer = Composer::new((80, 24));
        for number in 0..2_000 {
            view.show_notice(EntryKind::Info, &format!("line {number} {}", "x".repeat(50)));
        }
        let mut output = composer.compose(&mut view, &editor).unwrap();
        assert!(!composer.queue.is_empty());
        composer.resize((60, 20));
        output.extend(std::iter::from_fn(|| composer.compose(&mut view, &editor)));
        let (before, after) = output.split_once(ERASE_SCREEN).unwrap();
        let count = |text: &str| text.matches("line ").count();
        assert!((count(before), count(after)) == (2_000, 9), "{after}");
    }
}
