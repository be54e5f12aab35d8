//! An entry of the conversation and its layout as lines.

use std::iter;

use super::style::Style;
use super::wrap::{width, wrap};

/// The largest width of the column of names; longer names extend beyond it.
const MAX_NAME_WIDTH: usize = 16;
/// The indent of later lines if the normal one takes more than half of the terminal.
const NARROW_INDENT: usize = 2;

/// The kind of an entry, which decides its form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A message of another member.
    Chat,
    /// A message of the user.
    Own,
    /// A message of the user that the server has not answered yet.
    Pending,
    /// An action, which a member sends with `/me`.
    Action,
    Private,
    /// A join, a leave or a change of a name, with its sign, such as `-->`.
    Presence(&'static str),
    /// A notice of the server or of the client.
    Info,
    Error,
    /// A rule below the last line that the user has seen.
    UnreadMarker,
    /// A separator: a new day, or the start or the end of the history.
    Separator,
}

/// An entry of the conversation, whose texts are safe to print.
#[derive(Clone, Debug)]
pub struct Entry {
    pub kind: EntryKind,
    /// Unix time in milliseconds.
    pub time: Option<u64>,
    /// The name of the author; for a private message, both names.
    pub author: String,
    pub text: String,
    /// Whether the message mentions the user or is private.
    pub is_highlighted: bool,
    /// Whether the entry is from before the user joined.
    pub is_past: bool,
}

impl Entry {
    /// Returns an entry without time and author.
    pub fn new(kind: EntryKind, text: impl Into<String>) -> Self {
        let (author, text) = (String::new(), text.into());
        Entry { kind, time: None, author, text, is_highlighted: false, is_past: false }
    }

    /// Returns the bytes of the text and of the name.
    pub fn text_size(&self) -> usize {
        self.text.len() + self.author.len()
    }

    /// Returns whether the entry is new and about another member. An action or a private message may
    /// also be the user's own.
    pub fn is_of_others(&self) -> bool {
        !self.is_past
            && matches!(
                self.kind,
                EntryKind::Chat | EntryKind::Action | EntryKind::Private | EntryKind::Presence(_)
            )
    }

    /// Returns the width that the column of names needs for this entry.
    pub fn name_width(&self) -> usize {
        match self.kind {
            EntryKind::Chat | EntryKind::Own | EntryKind::Pending => {
                width(&self.author).min(MAX_NAME_WIDTH)
            }
            _ => 0,
        }
    }

    /// Appends the lines of the entry to `out`, each with a newline.
    ///
    /// `time` is the time of day, or `None` if times are hidden. `columns` is the width of the
    /// terminal and `name_width` that of the column of names.
    pub fn layout(
        &self,
        time: Option<&str>,
        columns: usize,
        name_width: usize,
        out: &mut StyledText,
    ) {
        if self.kind == EntryKind::UnreadMarker {
            out.push(Style::Faint, &format!("{:-<1$}", "-- new ", columns.saturating_sub(1)));
            return out.end_line();
        }
        let start = out.column;
        if self.kind != EntryKind::Separator {
            self.push_time(time, out);
        }
        self.push_author(name_width, out);
        let style = self.text_style();
        let first = out.column - start;
        let indent = if first * 2 > columns { NARROW_INDENT } else { first };
        let starts = iter::once(first).chain(iter::repeat(indent));
        let lines = self.text.split('\n').zip(starts);
        for (number, line) in
            lines.flat_map(|(line, start)| wrap(line, columns, start, indent)).enumerate()
        {
            if number > 0 {
                out.end_line();
                out.push(
                    Style::Plain,
                    &format!("{:1$}", "", if line.is_empty() { 0 } else { indent }),
                );
            }
            out.push(style, &line);
        }
        if self.kind == EntryKind::Separator {
            out.push(style, " --");
        }
        out.end_line();
    }

    fn push_time(&self, time: Option<&str>, out: &mut StyledText) {
        match (time, self.kind) {
            (Some(_), EntryKind::Pending) => out.push(Style::Faint, "  ..."),
            (Some(time), _) => out.push(Style::Faint, &format!("{time:5}")),
            (None, _) => {}
        }
        // Without colours, the sign alone shows that an entry is highlighted.
        let sign = if self.is_highlighted { ">" } else { " " };
        if time.is_some() || self.is_highlighted {
            out.push(Style::Plain, sign);
        }
    }

    /// Appends the author, or the sign of an entry without one.
    fn push_author(&self, name_width: usize, out: &mut StyledText) {
        let (text_style, author_style) = (self.text_style(), self.author_style());
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
            EntryKind::Presence(sign) => out.push(text_style, &format!("{sign} ")),
            EntryKind::Info => out.push(text_style, "-!- "),
            EntryKind::Error => out.push(text_style, "!!! "),
            EntryKind::Separator => out.push(text_style, "-- "),
            EntryKind::UnreadMarker => {}
        }
    }

    fn text_style(&self) -> Style {
        match self.kind {
            _ if self.is_past => Style::Faint,
            EntryKind::Presence(_)
            | EntryKind::Info
            | EntryKind::Separator
            | EntryKind::UnreadMarker
            | EntryKind::Pending => Style::Faint,
            EntryKind::Error => Style::Error,
            EntryKind::Private => Style::Private,
            EntryKind::Chat | EntryKind::Own | EntryKind::Action => Style::Plain,
        }
    }

    fn author_style(&self) -> Style {
        match self.kind {
            _ if self.is_highlighted => Style::Highlight,
            _ if self.is_past => Style::Faint,
            EntryKind::Own => Style::Own,
            EntryKind::Chat | EntryKind::Action => Style::of_name(&self.author),
            _ => self.text_style(),
        }
    }
}

/// Text with escape sequences for colours, and the column of its end.
#[derive(Debug, Default)]
pub struct StyledText {
    has_colors: bool,
    pub text: String,
    column: usize,
}

impl StyledText {
    /// Returns an empty text.
    pub fn new(has_colors: bool) -> Self {
        StyledText { has_colors, ..StyledText::default() }
    }

    /// Appends a text without newlines.
    pub fn push(&mut self, style: Style, text: &str) {
        style.paint(self.has_colors, text, &mut self.text);
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
    fn each_kind_has_its_own_form() {
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
    fn later_lines_are_indented_below_the_text() {
        let long = entry(EntryKind::Chat, "小明", "one two three four");
        assert_eq!(layout(&long, 26, 5), "14:03 小明   one two three\n             four\n");
        assert_eq!(layout(&long, 20, 5), "14:03 小明   one two\n  three four\n");
    }

    #[test]
    fn line_breaks_begin_indented_lines() {
        let code = entry(EntryKind::Chat, "bob", "if x {\n\n    one two three four\n}");
        let lines =
            ["14:03 bob    if x {", "", "                 one two", "             three four"];
        assert_eq!(layout(&code, 26, 5), lines.join("\n") + "\n             }\n");
    }

    #[test]
    fn highlight_is_visible_without_colours() {
        let highlighted = Entry { is_highlighted: true, ..entry(EntryKind::Chat, "bob", "hi") };
        assert_eq!(layout(&highlighted, 80, 5), "14:03>bob    hi\n");
        let mut out = StyledText::new(true);
        highlighted.layout(None, 80, 5, &mut out);
        assert_eq!(out.text, ">\x1b[1;7mbob\x1b[0m    hi\n");
    }
}
