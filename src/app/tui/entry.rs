//! One thing that is shown, and the lines that it takes.

use super::style::Style;
use super::wrap::{width, wrap};

/// The widest that the column of names becomes: longer names stand out of it.
const MAX_COLUMN: usize = 16;
/// How far later lines are indented where the terminal is too narrow for the usual.
const NARROW: usize = 2;

/// What kind of thing it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
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
    Coming(&'static str),
    /// What the server tells, or the client.
    Info,
    /// Something was not accepted.
    Error,
    /// A line across: another day, or where what is live begins.
    Rule,
}

/// One thing that is shown. All of it is harmless already.
#[derive(Clone, Debug)]
pub struct Entry {
    pub kind: Kind,
    /// Unix milliseconds.
    pub time: Option<u64>,
    /// Who: a name, or for what is private both.
    pub who: String,
    pub text: String,
    /// It calls for the user.
    pub is_loud: bool,
    /// It is from before.
    pub is_past: bool,
}

impl Entry {
    /// One that has nothing but a kind and a text.
    pub fn new(kind: Kind, text: impl Into<String>) -> Self {
        let (who, text) = (String::new(), text.into());
        Entry { kind, time: None, who, text, is_loud: false, is_past: false }
    }

    /// How wide a column of names this one asks for.
    pub fn column(&self) -> usize {
        match self.kind {
            Kind::Chat | Kind::Own | Kind::Pending => width(&self.who).min(MAX_COLUMN),
            _ => 0,
        }
    }

    /// Appends its lines, each with its newline. `time` is the time of day in words, or nothing
    /// where times are not shown; `columns` is how wide the terminal is and `column` the column of
    /// names.
    pub fn layout(&self, time: Option<&str>, columns: usize, column: usize, out: &mut Painter) {
        let faint = self.is_past.then_some(Style::Faint);
        let text_style = faint.unwrap_or(match self.kind {
            Kind::Coming(_) | Kind::Info | Kind::Rule | Kind::Pending => Style::Faint,
            Kind::Error => Style::Error,
            Kind::Private => Style::Private,
            Kind::Chat | Kind::Own | Kind::Action => Style::Plain,
        });
        let who_style = match self.kind {
            _ if self.is_loud => Style::Loud,
            _ if self.is_past => Style::Faint,
            Kind::Own => Style::Own,
            Kind::Chat | Kind::Action => Style::of_name(&self.who),
            _ => text_style,
        };
        let begin = out.column;
        if self.kind != Kind::Rule {
            match (time, self.kind) {
                (Some(_), Kind::Pending) => out.push(Style::Faint, "  ..."),
                (Some(time), _) => out.push(Style::Faint, &format!("{time:5}")),
                (None, _) => {}
            }
            // What calls for the user does so without colours, too.
            let gutter = if self.is_loud { ">" } else { " " };
            if time.is_some() || self.is_loud {
                out.push(Style::Plain, gutter);
            }
        }
        let padding = column.saturating_sub(width(&self.who));
        match self.kind {
            Kind::Chat => {
                out.push(who_style, &self.who);
                out.push(Style::Plain, &format!("{:padding$}  ", ""));
            }
            Kind::Own | Kind::Pending => {
                out.push(who_style, &self.who);
                out.push(Style::Plain, &format!("{:padding$}> ", ""));
            }
            Kind::Action => {
                out.push(who_style, &format!("* {}", self.who));
                out.push(Style::Plain, " ");
            }
            Kind::Private => {
                out.push(who_style, &format!("[{}]", self.who));
                out.push(Style::Plain, "  ");
            }
            Kind::Coming(mark) => out.push(text_style, &format!("{mark} ")),
            Kind::Info => out.push(text_style, "-!- "),
            Kind::Error => out.push(text_style, "!!! "),
            Kind::Rule => out.push(text_style, "-- "),
        }
        let first = out.column - begin;
        let indent = if first * 2 > columns { NARROW } else { first };
        let mut lines = wrap(&self.text, columns, first, indent).into_iter();
        if let Some(line) = lines.next() {
            out.push(text_style, &line);
        }
        if self.kind == Kind::Rule {
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
pub struct Painter {
    colors: bool,
    pub text: String,
    column: usize,
}

impl Painter {
    /// One that has painted nothing.
    pub fn new(colors: bool) -> Self {
        Painter { colors, ..Painter::default() }
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
        let mut out = Painter::default();
        entry.layout(Some("14:03"), columns, column, &mut out);
        out.text
    }

    fn entry(kind: Kind, who: &str, text: &str) -> Entry {
        Entry { who: who.into(), ..Entry::new(kind, text) }
    }

    #[test]
    fn each_kind_has_a_form_of_its_own() {
        for (kind, line) in [
            (Kind::Chat, "14:03 bob    hi\n"),
            (Kind::Own, "14:03 bob  > hi\n"),
            (Kind::Pending, "  ... bob  > hi\n"),
            (Kind::Action, "14:03 * bob hi\n"),
            (Kind::Private, "14:03 [bob]  hi\n"),
            (Kind::Coming("-->"), "14:03 --> hi\n"),
            (Kind::Info, "14:03 -!- hi\n"),
            (Kind::Error, "14:03 !!! hi\n"),
            (Kind::Rule, "-- hi --\n"),
        ] {
            assert_eq!(layout(&entry(kind, "bob", "hi"), 80, 5), line);
        }
    }

    #[test]
    fn later_lines_are_indented_under_the_text() {
        let long = entry(Kind::Chat, "小明", "one two three four");
        assert_eq!(layout(&long, 26, 5), "14:03 小明   one two three\n             four\n");
        assert_eq!(layout(&long, 20, 5), "14:03 小明   one two\n  three four\n");
    }

    #[test]
    fn what_calls_for_the_user_does_so_without_colours() {
        let loud = Entry { is_loud: true, ..entry(Kind::Chat, "bob", "hi") };
        assert_eq!(layout(&loud, 80, 5), "14:03>bob    hi\n");
        let mut out = Painter::new(true);
        loud.layout(None, 80, 5, &mut out);
        assert_eq!(out.text, ">\x1b[1;7mbob\x1b[0m    hi\n");
    }
}
