//! Wrapping text to the width of the terminal.

use unicode_width::UnicodeWidthChar;

/// Returns the number of columns that `text` takes.
pub fn width(text: &str) -> usize {
    // Character by character, like most terminals.
    text.chars().map(char_width).sum()
}

/// Returns the number of columns that a character takes; 0 for a control character.
pub fn char_width(c: char) -> usize {
    c.width().unwrap_or(0)
}

/// Breaks `text` into lines that end before column `columns`. The first line begins in column
/// `first`, the others in column `indent`.
///
/// Lines are broken at spaces, and inside a word if the word is longer than a line or belongs to a
/// script without spaces. A URL is never broken, so that the terminal can recognise and open it.
pub fn wrap(text: &str, columns: usize, first: usize, indent: usize) -> Vec<String> {
    let mut lines =
        WrappedLines { done: Vec::new(), line: String::new(), column: first, columns, indent };
    for word in text.split_inclusive(' ') {
        let (letters, space) = match word.strip_suffix(' ') {
            Some(letters) => (letters, " "),
            None => (word, ""),
        };
        let word_width = width(letters);
        let has_spaces = word_width == letters.chars().count();
        let is_unbreakable =
            letters.contains("://") || (has_spaces && indent + word_width <= columns);
        match lines.column + word_width > columns {
            true if !is_unbreakable => lines.push_broken(letters),
            true => {
                lines.break_line();
                lines.push(letters, word_width);
            }
            false => lines.push(letters, word_width),
        }
        lines.push(space, space.len());
    }
    lines.done.push(lines.line);
    lines.done
}

/// The lines so far, and the position in the current one.
struct WrappedLines {
    done: Vec<String>,
    line: String,
    /// The column of the next character.
    column: usize,
    columns: usize,
    indent: usize,
}

impl WrappedLines {
    fn push(&mut self, text: &str, text_width: usize) {
        // Spaces that do not fit are dropped.
        if self.column + text_width > self.columns && text.starts_with(' ') {
            self.column = self.columns;
            return;
        }
        self.line.push_str(text);
        self.column += text_width;
    }

    /// Appends a word and breaks it wherever a line is full.
    fn push_broken(&mut self, word: &str) {
        let mut buffer = [0; 4];
        for c in word.chars() {
            let c_width = char_width(c);
            if c_width > 0 && self.column + c_width > self.columns {
                self.break_line();
            }
            self.push(c.encode_utf8(&mut buffer), c_width);
        }
    }

    fn break_line(&mut self) {
        // The line is empty, and the next one would not have more room.
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
    fn lines_are_broken_at_spaces() {
        assert_eq!(wrap("one two three", 9, 2, 2), ["one two", "three"]);
        assert_eq!(wrap("one  two   three", 9, 0, 0), ["one  two", "three"]);
        assert_eq!(wrap("", 9, 2, 2), [""]);
        assert_eq!(wrap("exactly", 9, 2, 2), ["exactly"]);
    }

    #[test]
    fn long_words_are_broken_but_urls_are_not() {
        assert_eq!(wrap("abcdefghij", 6, 2, 2), ["abcd", "efgh", "ij"]);
        assert_eq!(wrap("a abcdefgh", 6, 2, 2), ["a ab", "cdef", "gh"]);
        let url = "https://example.org/a-long-way";
        assert_eq!(wrap(&format!("see {url} there"), 12, 2, 2), ["see", url, "there"]);
    }

    #[test]
    fn scripts_without_spaces_fill_the_line() {
        assert_eq!(wrap("好 你好世界你好世界", 9, 2, 2), ["好 你好", "世界你", "好世界"]);
        assert_eq!(wrap("e\u{301}e\u{301}e\u{301}", 4, 2, 2), ["e\u{301}e\u{301}", "e\u{301}"]);
    }

    proptest! {
        #[test]
        fn lines_fit_and_keep_all_letters(
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
