//! The text of `--help`.

use std::fmt::{self, Write};

use super::{OptionSpec, Program};

/// The line width of the help and of the manual's source, in characters.
pub const WIDTH: usize = 79;

impl Program {
    /// Returns the text of `--help`.
    pub fn help(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = self.write_help(&mut text);
        text
    }

    fn write_help(&self, text: &mut String) -> fmt::Result {
        let Program { name, summary, usage, .. } = self;
        writeln!(text, "{name}: {summary}\nusage: {name} {usage}\n")?;
        let has_help = |option: &&OptionSpec| !option.help.is_empty();
        let widths = self.options.iter().filter(has_help).map(|option| option.label().len() + 4);
        let column = widths.max().unwrap_or(0);
        for option in self.options.iter().filter(has_help) {
            let mut help = option.help.to_owned();
            if !option.default.is_empty() {
                write!(help, " [{}]", option.default)?;
            }
            let mut label = option.label();
            for line in wrap(&help, WIDTH - column) {
                writeln!(text, "  {label:width$}{line}", width = column - 2)?;
                label.clear();
            }
        }
        let others = self.options.iter().filter(|option| option.help.is_empty());
        let mut line = String::new();
        for label in others.map(OptionSpec::label) {
            if line.len() + label.len() + 5 > WIDTH {
                writeln!(text, "  {},", std::mem::take(&mut line))?;
            }
            line += if line.is_empty() { "" } else { ", " };
            line += &label;
        }
        writeln!(text, "  {line}")?;
        for note in self.notes {
            write_paragraph(text, note)?;
        }
        for example in self.examples {
            writeln!(text, "  {}", example.command)?;
        }
        let mut exits = String::from("exit codes:");
        for exit in self.exits {
            write!(exits, " {} {},", exit.code, exit.brief)?;
        }
        write_paragraph(text, exits.trim_end_matches(','))
    }
}

fn write_paragraph(text: &mut String, paragraph: &str) -> fmt::Result {
    text.push('\n');
    wrap(paragraph, WIDTH).iter().try_for_each(|line| writeln!(text, "{line}"))
}

/// Breaks `text` at spaces into lines of at most `width` characters; a longer word is kept whole.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.into()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_broken_at_spaces() {
        assert_eq!(wrap("to be or not to be", 9), ["to be or", "not to be"]);
        assert_eq!(wrap("honorificabilitudinitatibus is long", 9)[1..], ["is long"]);
    }
}
