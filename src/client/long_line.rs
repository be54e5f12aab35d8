//! Splitting a text that is longer than a line of the server.

use crate::protocol::is_mark;

/// Splits a line into lines of at most `max_bytes` bytes, counted as in a JSON string.
///
/// The text is split between its lines, else between words, and inside a word only if the word
/// alone is too long; a character and its combining marks stay together. The white space at which
/// the text is split is dropped. Each line repeats the command, `/me` or `/msg NAME`, and none
/// becomes a command by the split.
///
/// Returns `None` if the line cannot be split: it is another command, or `max_bytes` is less than
/// the command and a character take.
pub fn split_line(line: &str, max_bytes: usize) -> Option<Vec<String>> {
    if json_len(line) <= max_bytes {
        return Some(vec![line.to_owned()]);
    }
    let (prefix, text) = split_command(line)?;
    let max_text = max_bytes.checked_sub(json_len(prefix))?;
    let (mut lines, mut rest) = (Vec::new(), text);
    while !rest.is_empty() {
        // The second `/` of a text that begins with one; the first line has it already.
        let escape =
            if prefix.is_empty() && !lines.is_empty() && rest.starts_with('/') { "/" } else { "" };
        let (part, after) = split_first(rest, max_text.checked_sub(escape.len())?)?;
        // The server does not accept a command without a text.
        if !part.trim().is_empty() {
            lines.push(format!("{prefix}{escape}{part}"));
        }
        rest = after;
    }
    Some(lines)
}

/// Returns the part of a line that each of its parts needs, and the text that can be split.
fn split_command(line: &str) -> Option<(&str, &str)> {
    if !line.starts_with('/') || line.starts_with("//") {
        return Some(("", line));
    }
    let (command, after) = line.split_once(char::is_whitespace)?;
    let text = match command.to_ascii_lowercase().as_str() {
        "/me" => after.trim_start(),
        "/msg" => after.trim_start().split_once(char::is_whitespace)?.1.trim_start(),
        _ => return None,
    };
    Some((line.strip_suffix(text)?, text))
}

/// Returns the first part of a text, and the rest without the white space between them.
fn split_first(text: &str, max_bytes: usize) -> Option<(&str, &str)> {
    let mut bytes = 0;
    let mut fits = |c: char| {
        bytes += json_char_len(c);
        bytes <= max_bytes
    };
    let end = text.chars().take_while(|c| fits(*c)).map(char::len_utf8).sum();
    let (head, tail) = text.split_at_checked(end)?;
    let Some(next) = tail.chars().next() else { return Some((text, "")) };
    // White space just after the last character that fits is a place to split, too.
    let (with_next, _) = text.split_at_checked(end + next.len_utf8())?;
    let splits = |is_separator: fn(char) -> bool| {
        let found = with_next.char_indices().rev().filter(|(_, c)| is_separator(*c));
        found
            .filter_map(|(at, c)| Some((text.get(..at)?, text.get(at + c.len_utf8()..)?)))
            .find(|(_, after)| !after.starts_with(joins_previous))
    };
    let at_line_end = splits(|c| c == '\n');
    if let Some(found) = at_line_end.or_else(|| splits(|c| c.is_whitespace() && c != '\u{A0}')) {
        return Some(found);
    }
    let ends = head.char_indices().rev().map(|(at, _)| at).filter(|at| *at > 0);
    let end = std::iter::once(end).chain(ends).find(|end| {
        text.split_at_checked(*end).is_some_and(|(before, after)| is_boundary(before, after))
    });
    // No place in `head`: it is one character with very many marks.
    let (head, tail) = text.split_at_checked(end.unwrap_or(head.len()))?;
    (!head.is_empty()).then_some((head, tail))
}

/// Returns whether no character, as a person sees it, goes from one text to the next.
fn is_boundary(before: &str, after: &str) -> bool {
    const JOINER: char = '\u{200D}';
    let is_regional = |c: &char| matches!(c, '\u{1F1E6}'..='\u{1F1FF}');
    let is_inside_flag = after.starts_with(|c| is_regional(&c))
        && before.chars().rev().take_while(is_regional).count() % 2 == 1;
    !before.is_empty()
        && !after.starts_with(joins_previous)
        && !before.ends_with(|c| c == JOINER || is_virama(c))
        && !is_inside_flag
}

/// Returns whether a character belongs to the one before it: a combining mark, a vowel sign, a
/// joiner, a modifier of an emoji, or the later part of a Korean syllable.
fn joins_previous(c: char) -> bool {
    is_mark(c)
        || matches!(c,
            '\u{983}' | '\u{A03}' | '\u{A83}' | '\u{B02}' | '\u{B03}' | '\u{C01}'..='\u{C03}'
            | '\u{C82}' | '\u{C83}' | '\u{D02}' | '\u{D03}' | '\u{D82}' | '\u{D83}' | '\u{DF2}'
            | '\u{DF3}' | '\u{E33}' | '\u{EB3}' | '\u{F3E}' | '\u{F3F}' | '\u{F7F}'
            | '\u{1056}' | '\u{1057}' | '\u{1084}'
            | '\u{1160}'..='\u{11FF}' | '\u{D7B0}'..='\u{D7FF}'
            | '\u{1F3FB}'..='\u{1F3FF}')
        // The standard library has the table of extending characters, but only for its escapes.
        || c.escape_debug().nth(1) == Some('u')
}

/// Returns whether a sign of an Indic script joins the letters around it.
fn is_virama(c: char) -> bool {
    matches!(c, '\u{94D}' | '\u{9CD}' | '\u{ACD}' | '\u{B4D}' | '\u{C4D}' | '\u{D4D}')
}

/// Returns the length in bytes of a text as a JSON string without its quotes.
fn json_len(text: &str) -> usize {
    text.chars().map(json_char_len).sum()
}

fn json_char_len(c: char) -> usize {
    match c {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        '\0'..='\u{1f}' => 6,
        c => c.len_utf8(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn split(line: &str, max_bytes: usize) -> Vec<String> {
        split_line(line, max_bytes).unwrap()
    }

    #[test]
    fn text_is_split_between_words() {
        assert_eq!(split("one two three", 13), ["one two three"]);
        assert_eq!(split("one two three", 12), ["one two", "three"]);
        assert_eq!(split("one two three", 7), ["one two", "three"]);
        assert_eq!(split("one two three", 6), ["one", "two", "three"]);
        assert_eq!(split("abcdefghij kl", 4), ["abcd", "efgh", "ij", "kl"]);
        assert_eq!(split("one two\nthree\nfour", 12), ["one two", "three\nfour"]);
    }

    #[test]
    fn each_part_repeats_the_command() {
        assert_eq!(split("/me sings la la la", 12), ["/me sings la", "/me la la"]);
        assert_eq!(split("/MSG  bob one two", 13), ["/MSG  bob one", "/MSG  bob two"]);
        assert_eq!(split("//one two", 6), ["//one", "two"]);
        for line in ["/nick a long name", "/me", "/msg bob", "/msg", "/history 1000000"] {
            assert_eq!(split_line(line, 2), None, "{line}");
        }
    }

    #[test]
    fn no_part_becomes_a_command() {
        assert_eq!(split("see /quit now", 6), ["see", "//quit", "now"]);
        assert_eq!(split("one\n/quit", 7), ["one", "//quit"]);
        assert_eq!(split("abcd/quit", 4), ["abcd", "//qu", "it"]);
        assert_eq!(split("abc /me x", 5), ["abc", "//me", "x"]);
    }

    #[test]
    fn characters_with_marks_stay_whole() {
        for (character, max_bytes) in [
            ("e\u{301}\u{302}", 6),
            ("👩\u{200D}👩\u{200D}👧", 20),
            ("👍\u{1F3FD}", 9),
            ("❤\u{FE0F}", 7),
            ("🇩🇪", 12),
            ("\u{1100}\u{1161}\u{11A8}", 10),
            ("नि", 7),
            ("क्ष", 10),
            ("ที่", 10),
        ] {
            for part in split(&character.repeat(20), max_bytes) {
                let whole = part.replace(character, "");
                assert_eq!(whole, "", "{part:?} has a part of {character:?}");
            }
        }
    }

    #[test]
    fn endless_marks_are_split_between_scalars() {
        let zalgo = format!("e{}", "\u{301}".repeat(50));
        let parts = split(&zalgo, 10);
        assert!(parts.iter().all(|part| part.len() <= 10) && parts.concat() == zalgo);
    }

    #[test]
    fn limit_below_a_character_is_an_error() {
        assert_eq!(split_line("好", 2), None);
        assert_eq!(split_line("hi", 0), None);
        assert_eq!(split_line("/me hi", 4), None);
    }

    proptest! {
        #[test]
        fn parts_fit_and_keep_all_letters(
            line in "(|/me |/msg bob |//)[a-z][a-z/ \n\"\u{1}é好e\u{301}👩\u{200D}👧]{0,80}",
            max_bytes in 24_usize..60,
        ) {
            let parts = split(&line, max_bytes);
            for part in &parts {
                prop_assert!(json_len(part) <= max_bytes, "{part:?}");
                prop_assert_eq!(json_len(part), serde_json::to_string(part).unwrap().len() - 2);
            }
            if parts.len() > 1 {
                let (prefix, text) = split_command(&line).unwrap();
                let letters = |text: &str| text.replace(|c: char| c.is_whitespace(), "");
                let shown: String = parts
                    .iter()
                    .enumerate()
                    .map(|(index, part)| {
                        let part = part.strip_prefix(prefix).unwrap();
                        let is_escaped = prefix.is_empty() && index > 0 && part.starts_with('/');
                        letters(if is_escaped { &part[1..] } else { part })
                    })
                    .collect();
                prop_assert_eq!(shown, letters(text));
            }
        }
    }
}
