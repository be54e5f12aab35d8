//! The manual page, in the macros of man(7).

use super::help::{WIDTH, wrap};
use super::{Block, Example, Exit, OptionSpec, Program, Section};

impl Program {
    /// Returns the source of the manual page.
    pub fn manual(&self) -> String {
        let Program { name, summary, usage, date, .. } = self;
        let (title, version) = (name.to_uppercase(), env!("CARGO_PKG_VERSION"));
        let mut page =
            format!(".TH {title} 1 {date} \"smolchat {version}\" \"User Commands\"\n.SH NAME\n");
        page += &format!("{name} \\- {}\n", format_roff(summary));
        page += &format!(".SH SYNOPSIS\n\\fB{name}\\fR {}\n", format_roff(usage));
        let notes = self.notes.iter().map(|note| format_block(&Block::Text(note)));
        page += &format_section("DESCRIPTION", notes);
        page += &format_section(
            "OPTIONS",
            self.options.iter().map(|option| format_item(&format_label(option), &describe(option))),
        );
        for Section { title, blocks } in self.sections {
            page += &format_section(title, blocks.iter().map(format_block));
        }
        let exit = |exit: &Exit| format_item(&format!("\\fB{}\\fR", exit.code), exit.meaning);
        page += &format_section("EXIT STATUS", self.exits.iter().map(exit));
        let example = |Example { purpose, command }: &Example| {
            format_block(&Block::Text(purpose)) + &format_block(&Block::Code(command))
        };
        page += &format_section("EXAMPLES", self.examples.iter().map(example));
        page + &format!(".SH SEE ALSO\n.BR {} (1)\n", self.see_also)
    }
}

/// Returns a section, or an empty text if it has no parts.
fn format_section(title: &str, parts: impl Iterator<Item = String>) -> String {
    let body: String = parts.collect();
    match body.strip_prefix(".PP\n").unwrap_or(&body) {
        "" => String::new(),
        // A title already begins a paragraph.
        body => format!(".SH {title}\n{body}"),
    }
}

fn format_block(block: &Block) -> String {
    match block {
        Block::Text(text) => format!(".PP\n{}\n", format_roff(text)),
        Block::Item(term, text) => format_item(&format!("\\fB{}\\fR", format_roff(term)), text),
        Block::Code(code) => {
            let lines = code.lines().map(|line| format_literal(line) + "\n").collect::<String>();
            format!(".PP\n.RS 4\n.nf\n{lines}.fi\n.RE\n")
        }
    }
}

/// Returns a list item for a term that is already in roff.
fn format_item(term: &str, text: &str) -> String {
    format!(".TP\n{term}\n{}\n", format_roff(text))
}

fn format_label(option: &OptionSpec) -> String {
    if option.is_positional() {
        return format!("\\fI{}\\fR", format_literal(&option.flag()));
    }
    let flag = format!("\\fB{}\\fR", format_literal(&option.flag()));
    match option.value_name() {
        "" => flag,
        value_name => format!("{flag} \\fI{}\\fR", format_literal(value_name)),
    }
}

/// Returns help, details and default of an option as sentences.
fn describe(option: &OptionSpec) -> String {
    let mut sentences = Vec::new();
    let mut help = option.help.chars();
    if let Some(first) = help.next() {
        sentences.push(format!("{}{}.", first.to_uppercase(), help.as_str()));
    }
    if !option.details.is_empty() {
        sentences.push(option.details.into());
    }
    if !option.default.is_empty() {
        sentences.push(format!("The default is {}.", option.default));
    }
    sentences.join(" ")
}

/// Converts a paragraph to roff, with the parts between backquotes in bold.
fn format_roff(text: &str) -> String {
    let mut roff = String::new();
    for (index, part) in text.split('`').enumerate() {
        if index > 0 {
            roff += if index % 2 == 1 { "\\fB" } else { "\\fR" };
        }
        roff += &escape(part);
    }
    wrap(&roff, WIDTH).into_iter().map(escape_leading_dot).collect::<Vec<_>>().join("\n")
}

fn format_literal(text: &str) -> String {
    escape_leading_dot(escape(text))
}

fn escape(text: &str) -> String {
    let mut roff = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => roff += "\\e",
            '-' => roff += "\\-",
            '\'' => roff += "\\(aq",
            '`' => roff += "\\(ga",
            '^' => roff += "\\(ha",
            '~' => roff += "\\(ti",
            c => roff.push(c),
        }
    }
    roff
}

/// Escapes a dot at the start of a line, which would begin a request.
fn escape_leading_dot(roff: String) -> String {
    if roff.starts_with('.') { format!("\\&{roff}") } else { roff }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_characters_are_escaped() {
        assert_eq!(format_roff("a `--flag` of a\\b"), "a \\fB\\-\\-flag\\fR of a\\eb");
        assert_eq!(format_roff(".TH"), "\\&.TH");
        assert_eq!(format_literal("'it`s"), "\\(aqit\\(gas");
    }
}
