//! A text in lines of a terminal, the later ones indented.

use rustyline::GraphemeClusterMode;

/// The columns that `text` takes.
pub fn width(text: &str) -> usize {
    if text.bytes().all(|byte| (0x20..0x7F).contains(&byte)) {
        return text.len();
    }
    // The editor counts so as well, and so do most terminals: one character after another.
    usize::from(GraphemeClusterMode::WcWidth.width(text))
}

/// Cuts `text` into lines of at most `columns`, of which the first begins in column `first` and
/// the others in column `indent`.
///
/// It cuts at spaces; where a word is too long for a line, or of a script that needs no spaces, it
/// cuts inside of it. A URL is never cut: the terminal wraps it, knows that it is one, and can
/// open it.
pub fn wrap(text: &str, columns: usize, first: usize, indent: usize) -> Vec<String> {
    let mut lines =
        WrappedLines { done: Vec::new(), line: String::new(), column: first, columns, indent };
    for word in text.split_inclusive(' ') {
        let letters = word.trim_end_matches(' ');
        let taken = width(letters);
        let needs_spaces = taken == letters.chars().count();
        let stays_whole = letters.contains("://") || (needs_spaces && indent + taken <= columns);
        match lines.column + taken > columns {
            true if !stays_whole => lines.push_cut(letters),
            true => {
                lines.break_line();
                lines.push(letters, taken);
            }
            false => lines.push(letters, taken),
        }
        let spaces = word.get(letters.len()..).unwrap_or_default();
        lines.push(spaces, spaces.len());
    }
    lines.done.push(lines.line);
    lines.done
}

struct WrappedLines {
    done: Vec<String>,
    line: String,
    /// Where the next character goes.
    column: usize,
    columns: usize,
    indent: usize,
}

impl WrappedLines {
    fn push(&mut self, text: &str, taken: usize) {
        // Spaces at the end of a line are not carried over to the next.
        if self.column + taken > self.columns && text.starts_with(' ') {
            self.column = self.columns;
            return;
        }
        self.line.push_str(text);
        self.column += taken;
    }

    /// Pushes a word that is cut wherever a line is full.
    fn push_cut(&mut self, word: &str) {
        let mut buffer = [0; 4];
        for c in word.chars() {
            let c = &*c.encode_utf8(&mut buffer);
            let taken = width(c);
            if taken > 0 && self.column + taken > self.columns {
                self.break_line();
            }
            self.push(c, taken);
        }
    }

    fn break_line(&mut self) {
        // Nothing stands in the line but what is before it, and the next would begin no earlier.
        if self.line.is_empty() && self.column <= self.indent {
            return;
        }
        let line = std::mem::take(&mut self.line);
        self.done.push(line.trim_end_matches(' ').to_owned());
        self.column = self.indent;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_stay_whole_and_spaces_at_the_end_of_a_line_go() {
        assert_eq!(wrap("one two three", 9, 2, 2), ["one two", "three"]);
        assert_eq!(wrap("one  two   three", 9, 0, 0), ["one  two", "three"]);
        assert_eq!(wrap("", 9, 2, 2), [""]);
        assert_eq!(wrap("exactly", 9, 2, 2), ["exactly"]);
    }

    #[test]
    fn what_is_too_long_for_a_line_is_cut_but_a_url_is_not() {
        assert_eq!(wrap("abcdefghij", 6, 2, 2), ["abcd", "efgh", "ij"]);
        assert_eq!(wrap("a abcdefgh", 6, 2, 2), ["a ab", "cdef", "gh"]);
        let url = "https://example.org/a-long-way";
        assert_eq!(wrap(&format!("see {url} there"), 12, 2, 2), ["see", url, "there"]);
    }

    #[test]
    fn scripts_without_spaces_fill_the_line_and_are_not_cut_inside_a_character() {
        assert_eq!(wrap("好 你好世界你好世界", 9, 2, 2), ["好 你好", "世界你", "好世界"]);
        assert_eq!(wrap("e\u{301}e\u{301}e\u{301}", 4, 2, 2), ["e\u{301}e\u{301}", "e\u{301}"]);
    }

    proptest! {
        #[test]
        fn no_line_is_too_long_and_nothing_but_spaces_is_lost(
            text in "[a-z你e\u{301} ]{0,60}", columns in 8_usize..30, first in 0_usize..10,
        ) {
            let lines = wrap(&text, columns, first, 4);
            let start = std::iter::once(first).chain(std::iter::repeat(4));
            for (line, start) in lines.iter().zip(start) {
                prop_assert!(width(line) == 0 || start + width(line) <= columns, "{lines:?}");
            }
            let letters = |text: &str| text.replace(' ', "");
            prop_assert_eq!(letters(&lines.concat()), letters(&text));
        }
    }
}
