//! The text for `--help`.

use super::{Program, Row};

/// How wide a text may be.
pub const WIDTH: usize = 79;

impl Program {
    /// The text for `--help`.
    pub fn help(&self) -> String {
        let Program { name, summary, usage, .. } = self;
        let mut text = format!("{name}: {summary}\nusage: {name} {usage}\n\n");
        let (told, named): (Vec<&Row>, Vec<&Row>) =
            self.rows.iter().partition(|row| !row.help.is_empty());
        let column = told.iter().map(|row| row.label().len() + 4).max().unwrap_or(0);
        for row in told {
            let default = match row.default {
                "" => String::new(),
                default => format!(" [{default}]"),
            };
            let mut label = format!("  {}", row.label());
            for line in wrap(&format!("{}{default}", row.help), WIDTH - column) {
                text += &format!("{label:column$}{line}\n");
                label.clear();
            }
        }
        let named: Vec<String> = named.iter().map(|row| row.label()).collect();
        text += &format!("  {}\n", named.join(", "));
        for note in self.notes {
            text += &format!("\n{}\n", wrap(note, WIDTH).join("\n"));
        }
        for example in self.examples {
            text += &format!("  {}\n", example.command);
        }
        let exits = self.exits.iter().map(|exit| format!("{} {}", exit.code, exit.brief));
        let exits = format!("exit code: {}", exits.collect::<Vec<_>>().join(", "));
        text + &format!("\n{}\n", wrap(&exits, WIDTH).join("\n"))
    }
}

/// Breaks a text into lines of at most so many characters.
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
    fn text_is_broken_between_words() {
        assert_eq!(wrap("to be or not to be", 9), ["to be or", "not to be"]);
        assert_eq!(wrap("honorificabilitudinitatibus is long", 9)[1..], ["is long"]);
    }
}
