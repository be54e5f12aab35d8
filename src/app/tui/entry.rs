//! One thing that is shown, and the lines that it takes.

use super::style::Style;
use super::wrap::{width, wrap};

/// The widest that the column of names becomes: longer names stand out of it.
const MAX_NAME_WIDTH: usize = 16;
/// How far later lines are indented where the terminal is too narrow for the usual.
const NARROW_INDENT: usize = 2;

/// What kind of thing it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// Somebody spoke.
    Chat,
    /// The user spoke.
    Own,
    /// The user spoke, and nobody has heard it yet.
    Pending,
    /// Somebody does something.
    Action,
    /// Between two alone.
    Private,
    /// Somebody came, went, or is called something else.
    Presence(&'static str),
    /// What the server tells, or the client.
    Info,
    /// Something was not accepted.
    Error,
    /// A line across: another day, or where what is live begins.
    Separator,
}

/// One thing that is shown. All of it is harmless already.
#[derive(Clone, Debug)]
pub struct Entry {
    pub kind: EntryKind,
    /// Unix milliseconds.
    pub time: Option<u64>,
    /// Who: a name, or for what is private both.
    pub author: String,
    pub text: String,
    /// It calls for the user.
    pub is_highlighted: bool,
    /// It is from before.
    pub is_past: bool,
}

impl Entry {
    /// One that has nothing but a kind and a text.
    pub fn new(kind: EntryKind, text: impl Into<String>) -> Self {
        let (author, text) = (String::new(), text.into());
        Entry { kind, time: None, author, text, is_highlighted: false, is_past: false }
    }

    /// How wide a column of names this one asks for.
    pub fn name_width(&self) -> usize {
        match self.kind {
            EntryKind::Chat | EntryKind::Own | EntryKind::Pending => {
                width(&self.author).min(MAX_NAME_WIDTH)
            }
            _ => 0,
        }
    }

    /// Appends its lines, each with its newline. `time` is the time of day in words, or nothing
    /// where times are not shown; `columns` is how wide the terminal is and `column` the column of
    /// names.
    pub fn layout(
        &self,
        time: Option<&str>,
        columns: usize,
        name_width: usize,
        out: &mut StyledText,
    ) {
        let faint = self.is_past.then_some(Style::Faint);
        let text_style = faint.unwrap_or(match self.kind {
            EntryKind::Presence(_)
            | EntryKind::Info
            | EntryKind::Separator
            | EntryKind::Pending => Style::Faint,
            EntryKind::Error => Style::Error,
            EntryKind::Private => Style::Private,
            EntryKind::Chat | EntryKind::Own | EntryKind::Action => Style::Plain,
        });
        let author_style = match self.kind {
            _ if self.is_highlighted => Style::Highlight,
            _ if self.is_past => Style::Faint,
            EntryKind::Own => Style::Own,
            EntryKind::Chat | EntryKind::Action => Style::of_name(&self.author),
            _ => text_style,
        };
        let start = out.column;
        if self.kind != EntryKind::Separator {
            match (time, self.kind) {
                (Some(_), EntryKind::Pending) => out.push(Style::Faint, "  ..."),
                (Some(time), _) => out.push(Style::Faint, &format!("{time:5}")),
                (None, _) => {}
            }
            // What calls for the user does so without colours, too.
            let gutter = if self.is_highlighted { ">" } else { " " };
            if time.is_some() || self.is_highlighted {
                out.push(Style::Plain, gutter);
            }
        }
        let padding = name_width.saturating_sub(width(&self.author));
        match self.kind {
            EntryKind::Chat => {
                out.push(author_style, &self.author);
                out.push(Style::Plain, &format!("{:padding$}  ", ""));
            }
            EntryKind::Own | EntryKind::Pending => {
                out.push(author_style, &self.author);
                out.push(Style::Plain, &format!("{:padding$}> ", ""));
            }
            EntryKind::Action => {
                out.push(author_style, &format!("* {}", self.author));
                out.push(Style::Plain, " ");
            }
            EntryKind::Private => {
                out.push(author_style, &format!("[{}]", self.author));
                out.push(Style::Plain, "  ");
            }
            EntryKind::Presence(mark) => out.push(text_style, &format!("{mark} ")),
            EntryKind::Info => out.push(text_style, "-!- "),
            EntryKind::Error => out.push(text_style, "!!! "),
            EntryKind::Separator => out.push(text_style, "-- "),
        }
        let first = out.column - start;
        let indent = if first * 2 > columns { NARROW_INDENT } else { first };
        let mut lines = wrap(&self.text, columns, first, indent).into_iter();
        if let Some(line) = lines.next() {
            out.push(text_style, &line);
        }
        if self.kind == EntryKind::Separator {
            out.push(text_style, " --");
        }
        for line in lines {
            out.end_line();
            out.push(Style::Plain, &format!("{:indent$}", ""));
            out.push(text_style, &line);
        }
        out.end_line();
    }
}

/// Text with its colours, and where in the line it has come to.
#[derive(Debug, Default)]
pub struct StyledText {
    colors: bool,
    pub text: String,
    column: usize,
}

impl StyledText {
    /// One that has painted nothing.
    pub fn new(colors: bool) -> Self {
        StyledText { colors, ..StyledText::default() }
    }

    /// Appends a text without line ends.
    pub fn push(&mut self, style: Style, text: &str) {
        style.paint(self.colors, text, &mut self.text);
        self.column += width(text);
    }

    fn end_line(&mut self) {
        self.text.push('\n');
        self.column = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(entry: &Entry, columns: usize, column: usize) -> String {
        let mut out = StyledText::default();
        entry.layout(Some("14:03"), columns, column, &mut out);
        out.text
    }

    fn entry(kind: EntryKind, author: &str, text: &str) -> Entry {
        Entry { author: author.into(), ..Entry::new(kind, text) }
    }

    #[test]
    fn each_kind_has_a_form_of_its_own() {
        for (kind, line) in [
            (EntryKind::Chat, "14:03 bob    hi\n"),
            (EntryKind::Own, "14:03 bob  > hi\n"),
            (EntryKind::Pending, "  ... bob  > hi\n"),
            (EntryKind::Action, "14:03 * bob hi\n"),
            (EntryKind::Private, "14:03 [bob]  hi\n"),
            (EntryKind::Presence("-->"), "14:03 --> hi\n"),
            (EntryKind::Info, "14:03 -!- hi\n"),
            (EntryKind::Error, "14:03 !!! hi\n"),
            (EntryKind::Separator, "-- hi --\n"),
        ] {
            assert_eq!(layout(&entry(kind, "bob", "hi"), 80, 5), line);
        }
    }

    #[test]
    fn later_lines_are_indented_under_the_text() {
        let long = entry(EntryKind::Chat, "小明", "one two three four");
        assert_eq!(layout(&long, 26, 5), "14:03 小明   one two three\n             four\n");
        assert_eq!(layout(&long, 20, 5), "14:03 小明   one two\n  three four\n");
    }

    #[test]
    fn what_calls_for_the_user_does_so_without_colours() {
        let loud = Entry { is_highlighted: true, ..entry(EntryKind::Chat, "bob", "hi") };
        assert_eq!(layout(&loud, 80, 5), "14:03>bob    hi\n");
        let mut out = StyledText::new(true);
        loud.layout(None, 80, 5, &mut out);
        assert_eq!(out.text, ">\x1b[1;7mbob\x1b[0m    hi\n");
    }
}
