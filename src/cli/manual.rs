//! The manual page, in the macros of man(7), which every `man` understands.

use super::help::{WIDTH, wrap};
use super::{Block, Example, Exit, OptionSpec, Program, Section};

impl Program {
    /// The manual page.
    pub fn manual(&self) -> String {
        let Program { name, summary, usage, dated, .. } = self;
        let (title, version) = (name.to_uppercase(), env!("CARGO_PKG_VERSION"));
        let mut page =
            format!(".TH {title} 1 {dated} \"smolchat {version}\" \"User Commands\"\n.SH NAME\n");
        page += &format!("{name} \\- {}\n", roff(summary));
        page += &format!(".SH SYNOPSIS\n\\fB{name}\\fR {}\n", roff(usage));
        let notes = self.notes.iter().map(|note| block(&Block::Text(note)));
        page += &section("DESCRIPTION", notes);
        page += &section(
            "OPTIONS",
            self.options.iter().map(|option| item(&label(option), &words(option))),
        );
        for Section { title, blocks } in self.sections {
            page += &section(title, blocks.iter().map(block));
        }
        let code = |exit: &Exit| item(&format!("\\fB{}\\fR", exit.code), exit.meaning);
        page += &section("EXIT STATUS", self.exits.iter().map(code));
        let shown = |Example { does, command }: &Example| {
            block(&Block::Text(does)) + &block(&Block::Code(command))
        };
        page += &section("EXAMPLES", self.examples.iter().map(shown));
        page + &format!(".SH SEE ALSO\n.BR {} (1)\n", self.see_also)
    }
}

/// A section, if there is anything in it.
fn section(title: &str, parts: impl Iterator<Item = String>) -> String {
    let body: String = parts.collect();
    match body.strip_prefix(".PP\n").unwrap_or(&body) {
        "" => String::new(),
        // The title begins a paragraph.
        body => format!(".SH {title}\n{body}"),
    }
}

fn block(block: &Block) -> String {
    match block {
        Block::Text(text) => format!(".PP\n{}\n", roff(text)),
        Block::Item(term, text) => item(&format!("\\fB{}\\fR", roff(term)), text),
        Block::Code(code) => {
            let lines = code.lines().map(|line| literal(line) + "\n").collect::<String>();
            format!(".PP\n.RS 4\n.nf\n{lines}.fi\n.RE\n")
        }
    }
}

/// A term that is in roff already, and what there is to say about it.
fn item(term: &str, text: &str) -> String {
    format!(".TP\n{term}\n{}\n", roff(text))
}

fn label(option: &OptionSpec) -> String {
    if option.is_argument() {
        return format!("\\fI{}\\fR", literal(&option.flag()));
    }
    let flag = format!("\\fB{}\\fR", literal(&option.flag()));
    match option.operand() {
        "" => flag,
        operand => format!("{flag} \\fI{}\\fR", literal(operand)),
    }
}

/// All that is to be said of an option, as sentences.
fn words(option: &OptionSpec) -> String {
    let mut sentences = Vec::new();
    let mut help = option.help.chars();
    if let Some(first) = help.next() {
        sentences.push(format!("{}{}.", first.to_uppercase(), help.as_str()));
    }
    if !option.default.is_empty() {
        sentences.push(format!("The default is {}.", option.default));
    }
    if !option.more.is_empty() {
        sentences.push(option.more.into());
    }
    sentences.join(" ")
}

/// A paragraph, in which every second piece between `` ` `` is in bold.
fn roff(text: &str) -> String {
    let mut roff = String::new();
    for (place, piece) in text.split('`').enumerate() {
        if place > 0 {
            roff += if place % 2 == 1 { "\\fB" } else { "\\fR" };
        }
        roff += &escape(piece);
    }
    wrap(&roff, WIDTH).into_iter().map(shielded).collect::<Vec<_>>().join("\n")
}

fn literal(text: &str) -> String {
    shielded(escape(text))
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

/// A line that begins with a point would be a request.
fn shielded(roff: String) -> String {
    if roff.starts_with('.') { format!("\\&{roff}") } else { roff }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_is_taken_for_a_request() {
        assert_eq!(roff("a `--flag` of a\\b"), "a \\fB\\-\\-flag\\fR of a\\eb");
        assert_eq!(roff(".TH"), "\\&.TH");
        assert_eq!(literal("'it`s"), "\\(aqit\\(gas");
    }
}
