//! The texts of messages: control characters, formatting codes, and the lines of a long text.

/// Starts and ends a request of CTCP.
pub const CTCP: &str = "\u{1}";

/// Returns a text from an IRC client without formatting codes and control characters.
///
/// Removed are bold, italics and the like, and colours with their numbers.
pub fn strip_formatting(text: &str) -> String {
    let mut plain = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\u{3}' => chars = strip_colours(chars.as_str(), 2, 10).chars(),
            '\u{4}' => chars = strip_colours(chars.as_str(), 6, 16).chars(),
            '\t' => plain.push(' '),
            c if c.is_control() => {}
            c => plain.push(c),
        }
    }
    plain
}

/// Removes a colour, and a second one after a comma. A colour has at most `most` digits.
fn strip_colours(text: &str, most: usize, radix: u32) -> &str {
    let is_digit = |byte: &u8| char::from(*byte).is_digit(radix);
    let digits = |text: &str| text.bytes().take(most).take_while(is_digit).count();
    let (first, rest) = text.split_at(digits(text));
    match rest.strip_prefix(',') {
        Some(second) if !first.is_empty() && digits(second) > 0 => {
            second.split_at(digits(second)).1
        }
        _ => rest,
    }
}

/// Returns a text with each character replaced, or without it.
pub fn map_chars(text: &str, map: fn(char) -> Option<char>) -> String {
    let mut mapped = String::with_capacity(text.len());
    for c in text.chars() {
        mapped.extend(map(c));
    }
    mapped
}

/// Returns a text without control characters but newlines: an IRC client could take them for a
/// formatting code or a request of CTCP. A tab becomes a space.
pub fn strip_controls(text: &str) -> String {
    map_chars(text, |c| match c {
        '\t' => Some(' '),
        '\n' => Some(c),
        c => (!c.is_control()).then_some(c),
    })
}

/// Removes and returns the first part of a line, which has at most `most` bytes and ends at a space
/// if that is possible. Returns `None` at the end of the line.
pub fn split_long<'a>(line: &mut &'a str, most: usize) -> Option<&'a str> {
    // At least one character, so that the rest becomes shorter.
    let most = most.max(line.chars().next()?.len_utf8());
    if line.len() <= most {
        return Some(std::mem::take(line));
    }
    // A space directly after the part is a place to split, too.
    let space = line.bytes().take(most + 1).rposition(|byte| byte == b' ').filter(|&at| at > 0);
    let (part, rest) = line.split_at(space.unwrap_or_else(|| line.floor_char_boundary(most)));
    *line = rest.strip_prefix(' ').filter(|_| space.is_some()).unwrap_or(rest);
    Some(part)
}

/// Returns the text before the first separator and the text after it, which is empty if there is no
/// separator.
pub fn split_first(text: &str, separator: char) -> (&str, &str) {
    text.split_once(separator).unwrap_or((text, ""))
}

/// Returns texts as one. The generic `concat` of the standard library is larger.
pub fn concat(parts: &[&str]) -> String {
    parts.iter().copied().collect()
}

/// Appends a word to a list with spaces between its words.
pub fn push_word(list: &mut String, word: &str) {
    if !list.is_empty() {
        list.push(' ');
    }
    list.push_str(word);
}

/// Returns the longest start of a text with at most `most` bytes.
pub fn truncate(text: &str, most: usize) -> &str {
    text.split_at(text.floor_char_boundary(most)).0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn formatting_codes_are_stripped() {
        for (text, plain) in [
            ("\u{2}bold\u{2} \u{1d}italics\u{f}", "bold italics"),
            ("\u{3}4red\u{3} \u{3}04,12both\u{3},x", "red both,x"),
            ("\u{3}123", "3"),
            ("\u{3}1,1234", "34"),
            ("\u{4}FF0000,00ff00hex\u{4}", "hex"),
            ("a\tb\u{1}c\u{7f}\u{9b}d", "a bcd"),
            ("plain, Ünï 🦀", "plain, Ünï 🦀"),
        ] {
            assert_eq!(strip_formatting(text), plain, "{text:?}");
        }
    }

    fn split(mut line: &str, most: usize) -> Vec<&str> {
        std::iter::from_fn(|| split_long(&mut line, most)).collect()
    }

    #[test]
    fn long_line_is_split_at_spaces() {
        assert_eq!(split("one two three", 7), ["one two", "three"]);
        assert_eq!(split("one two three", 8), ["one two", "three"]);
        assert_eq!(split("abcdef", 4), ["abcd", "ef"]);
        assert_eq!(split("ééé", 3), ["é", "é", "é"]);
        assert_eq!(split("🦀🦀", 1), ["🦀", "🦀"]);
        assert_eq!(split("", 4), [""; 0]);
    }

    proptest! {
        #[test]
        fn parts_of_a_line_are_short_and_complete(line in "[a-e é🦀]{0,200}", most in 4usize..40) {
            let parts: Vec<&str> = split(&line, most);
            prop_assert!(parts.iter().all(|part| part.len() <= most));
            let letters = |text: &str| text.replace(' ', "");
            prop_assert_eq!(letters(&parts.concat()), letters(&line));
        }

        #[test]
        fn stripped_text_has_no_controls(text in any::<String>()) {
            prop_assert!(!strip_formatting(&text).contains(char::is_control));
            prop_assert!(!strip_controls(&text).contains(|c: char| c.is_control() && c != '\n'));
        }
    }
}
