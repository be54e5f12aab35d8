//! The rows at the bottom of the screen: the status line and the input line.

use std::fmt::Write;

use super::editor::InputView;
use super::style::Style;
use super::wrap::char_width;
use crate::app::render::TAB_WIDTH;
use crate::client::is_invisible;

/// The rows at the bottom of the screen, and the cursor in them.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Footer {
    rows: Vec<Row>,
    cursor_row: usize,
    cursor_column: usize,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Row {
    text: String,
    /// Whether the terminal continues in the next row by itself, because this row is full.
    is_wrapped: bool,
}

impl Footer {
    /// Returns the rows of the input line below `status`, which has the width of one row.
    ///
    /// The input line is broken into rows of `columns`. If it has more than `max_rows`, only the
    /// rows around the cursor are shown, with the hint.
    pub fn new(
        status: Option<&str>,
        input: &InputView,
        (columns, max_rows): (usize, usize),
        has_colors: bool,
    ) -> Self {
        let mut layout = InputRows { done: Vec::new(), row: Row::default(), column: 0, columns };
        layout.push(&input.prompt);
        layout.push(&input.before_cursor);
        if layout.column >= columns {
            layout.wrap_row();
        }
        let (cursor_row, cursor_column) = (layout.done.len(), layout.column);
        layout.push(&input.after_cursor);
        layout.break_row();
        let mut rows = std::mem::take(&mut layout.done);
        if let Some(hint) = &input.hint {
            layout.push(hint);
            layout.break_row();
        }
        let max_rows = max_rows.saturating_sub(layout.done.len()).max(1);
        let above = (cursor_row + 1).saturating_sub(max_rows);
        let status_rows = usize::from(status.is_some());
        rows.drain(..above);
        rows.truncate(max_rows);
        let hint = layout.done.into_iter().map(|row| {
            let mut text = String::new();
            Style::Faint.paint(has_colors, &row.text, &mut text);
            Row { text, ..row }
        });
        let status = status.map(|text| Row { text: text.to_owned(), is_wrapped: false });
        let rows = status.into_iter().chain(rows).chain(hint).collect();
        Footer { rows, cursor_row: cursor_row - above + status_rows, cursor_column }
    }

    pub fn row_count(&self) -> usize {
        self.rows.len()
    }

    /// Appends the sequences that erase the footer and leave the cursor at its start.
    pub fn write_erase(&self, out: &mut String) {
        write_move_up(self.cursor_row, out);
        out.push_str("\r\x1b[J");
    }

    /// Appends the footer, which starts where the cursor is.
    pub fn write(&self, out: &mut String) {
        let mut is_wrapped = None;
        for row in &self.rows {
            // The terminal wraps only before a character.
            if is_wrapped == Some(false) || is_wrapped.is_some() && row.text.is_empty() {
                out.push_str("\r\n");
            }
            out.push_str(&row.text);
            is_wrapped = Some(row.is_wrapped);
        }
        write_move_up(self.rows.len().saturating_sub(self.cursor_row + 1), out);
        out.push('\r');
        if self.cursor_column > 0 {
            // Writing to a String cannot fail.
            let _ = write!(out, "\x1b[{}C", self.cursor_column);
        }
    }

    /// Appends the sequences that leave the cursor below the footer.
    pub fn write_leave(&self, out: &mut String) {
        let below = self.rows.len().saturating_sub(self.cursor_row);
        out.extend(std::iter::repeat_n("\r\n", below.max(1)));
    }
}

fn write_move_up(rows: usize, out: &mut String) {
    if rows > 0 {
        let _ = write!(out, "\x1b[{rows}A");
    }
}

/// The rows so far, and the position in the current one.
struct InputRows {
    done: Vec<Row>,
    row: Row,
    column: usize,
    columns: usize,
}

impl InputRows {
    /// Appends a text. Characters that a terminal might execute are left out.
    fn push(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                '\n' => self.break_row(),
                '\t' => {
                    let spaces = TAB_WIDTH - self.column % TAB_WIDTH;
                    (0..spaces).for_each(|_| self.push_char(' '));
                }
                c if c.is_control() || is_invisible(c) => {}
                c => self.push_char(c),
            }
        }
    }

    fn push_char(&mut self, c: char) {
        let width = char_width(c);
        if self.column > 0 && self.column + width > self.columns {
            self.wrap_row();
        }
        self.row.text.push(c);
        self.column += width;
    }

    fn wrap_row(&mut self) {
        self.row.is_wrapped = true;
        self.break_row();
    }

    fn break_row(&mut self) {
        self.done.push(std::mem::take(&mut self.row));
        self.column = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(before_cursor: &str, after_cursor: &str, hint: Option<&str>) -> InputView {
        InputView {
            prompt: "> ".into(),
            before_cursor: before_cursor.into(),
            after_cursor: after_cursor.into(),
            hint: hint.map(str::to_owned),
        }
    }

    /// Returns the rows with `|` at the cursor.
    fn rows(view: &InputView, size: (usize, usize)) -> Vec<String> {
        let Footer { mut rows, cursor_row, cursor_column } = Footer::new(None, view, size, false);
        let row = &mut rows[cursor_row].text;
        let mut column = 0;
        let index = row.char_indices().find_map(|(index, c)| {
            let is_found = column == cursor_column;
            column += char_width(c);
            is_found.then_some(index)
        });
        row.insert(index.unwrap_or(row.len()), '|');
        rows.into_iter().map(|row| row.text).collect()
    }

    #[test]
    fn long_line_is_broken_into_rows() {
        assert_eq!(rows(&view("abcdefg", "", None), (6, 5)), ["> abcd", "efg|"]);
        assert_eq!(rows(&view("abcd", "", None), (6, 5)), ["> abcd", "|"]);
        assert_eq!(rows(&view("abcd", "e", None), (6, 5)), ["> abcd", "|e"]);
        assert_eq!(rows(&view("你好", "世", None), (5, 5)), ["> 你", "好|世"]);
        assert_eq!(rows(&view("a\tb", "", None), (20, 5)), ["> a b|"]);
        assert_eq!(rows(&view("a\x1b[2J\u{202e}b", "", None), (20, 5)), ["> a[2Jb|"]);
    }

    #[test]
    fn block_has_its_lines_and_a_hint() {
        let block = view("one\ntw", "o\nthree", Some("[3 lines]"));
        assert_eq!(rows(&block, (20, 9)), ["> one", "tw|o", "three", "[3 lines]"]);
        assert_eq!(rows(&block, (20, 3)), ["> one", "tw|o", "[3 lines]"]);
        assert_eq!(rows(&block, (20, 1)), ["tw|o", "[3 lines]"]);
    }

    #[test]
    fn status_is_above_the_input_line() {
        let footer = Footer::new(Some("status"), &view("ab", "", None), (20, 5), false);
        let mut out = String::new();
        footer.write(&mut out);
        footer.write_erase(&mut out);
        assert_eq!(out, "status\r\n> ab\r\x1b[4C\x1b[1A\r\x1b[J");
    }

    #[test]
    fn terminal_wraps_full_rows() {
        for (before_cursor, text) in [
            ("abcd\nefghijk", "> abcd\r\nefghijk\r\x1b[1C"),
            ("abcd", "> abcd\r\n\r"),
            ("abcde", "> abcde\r\x1b[1C"),
        ] {
            let mut out = String::new();
            Footer::new(None, &view(before_cursor, "", None), (6, 5), false).write(&mut out);
            assert_eq!(out, text);
        }
    }
}
