//! Strings in the JSON of the server, and the characters that they have as escapes.
//!
//! JSON requires an escape for quotes, backslashes and the controls below U+0020. The server also
//! escapes the other characters that a terminal may act on, because many members use `nc`:
//!
//! - DEL and the C1 controls, U+007F to U+009F;
//! - line and paragraph separators, U+2028 and U+2029;
//! - controls of direction, U+061C, U+200E, U+200F, U+202A to U+202E and U+2066 to U+2069;
//! - invisible characters that no script needs: U+2060 to U+2065, U+206A to U+206F, the byte order
//!   mark U+FEFF, annotations U+FFF9 to U+FFFB, and tags U+E0000 to U+E007F.
//!
//! Joiners and variation selectors are not escaped: emoji and several scripts need them.

use std::io::Write;
use std::iter;

/// Bytes that are looked up before a branch. With it, a long text takes half of the time.
const LANES: usize = 8;

/// Whether an escaped character begins with this byte, for each byte.
#[expect(clippy::indexing_slicing, reason = "the index is below the length")]
const MAY_BE_ESCAPED: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < table.len() {
        table[byte] =
            matches!(byte, ..0x20 | 0x22 | 0x5C | 0x7F | 0xC2 | 0xD8 | 0xE2 | 0xEF | 0xF3);
        byte += 1;
    }
    table
};

/// Appends `text` to `out` as a JSON string, with its quotes.
pub fn write_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for (plain, escaped) in split_at_escaped(text) {
        out.extend_from_slice(plain.as_bytes());
        if let Some(c) = escaped {
            write_escape(out, c);
        }
    }
    out.push(b'"');
}

/// Returns the length in bytes of the JSON string that the server writes for a text, without its
/// quotes. It is at most six times that of the text.
///
/// # Examples
///
/// ```
/// use smolchat::protocol::escaped_len;
///
/// assert_eq!(escaped_len("hello"), 5);
/// assert_eq!(escaped_len("\u{1}\n"), r"\u0001\n".len());
/// ```
#[must_use]
pub fn escaped_len(text: &str) -> usize {
    let len = |(plain, escaped): (&str, Option<char>)| plain.len() + escaped.map_or(0, escape_len);
    split_at_escaped(text).map(len).sum()
}

/// Replaces the characters that a terminal may act on by escapes, in the JSON that `out` has from
/// byte `start` on. JSON can have them only inside of strings.
pub fn escape_terminal_controls(out: &mut Vec<u8>, start: usize) {
    // All their bytes are at least DEL. Without an early end, the search uses vector registers.
    let json = out.get(start..).unwrap_or_default();
    if !json.iter().fold(false, |found, &byte| found | (byte >= 0x7F)) {
        return;
    }
    let json = out.split_off(start);
    for c in json.utf8_chunks().flat_map(|chunk| chunk.valid().chars()) {
        let mut bytes = [0; 4];
        let bytes = c.encode_utf8(&mut bytes).as_bytes();
        if starts_with_terminal_control(bytes) {
            write_escape(out, c);
        } else {
            out.extend_from_slice(bytes);
        }
    }
}

/// Splits a text into parts without escaped characters, each with the escaped character after it.
fn split_at_escaped(text: &str) -> impl Iterator<Item = (&str, Option<char>)> {
    let mut rest = Some(text);
    iter::from_fn(move || {
        let text = rest.take()?;
        let Some((plain, escaped)) =
            find_escaped(text.as_bytes()).and_then(|at| text.split_at_checked(at))
        else {
            return Some((text, None));
        };
        let mut chars = escaped.chars();
        let c = chars.next();
        rest = Some(chars.as_str());
        Some((plain, c))
    })
}

/// Returns the position of the first escaped character in a text, which is UTF-8.
fn find_escaped(text: &[u8]) -> Option<usize> {
    let mut rest = text;
    loop {
        while let Some((bytes, next)) = rest.split_first_chunk::<LANES>()
            && !bytes.iter().fold(false, |found, &byte| found | may_be_escaped(byte))
        {
            rest = next;
        }
        let found = rest.iter().position(|&byte| may_be_escaped(byte))?;
        rest = rest.split_at(found).1;
        if starts_with_escaped(rest) {
            return Some(text.len() - rest.len());
        }
        rest = rest.split_first()?.1;
    }
}

/// Returns whether an escaped character begins with `byte`.
fn may_be_escaped(byte: u8) -> bool {
    MAY_BE_ESCAPED.get(usize::from(byte)).is_some_and(|&may_be| may_be)
}

/// Returns whether a text, which is UTF-8, begins with an escaped character.
fn starts_with_escaped(text: &[u8]) -> bool {
    matches!(text, [..0x20 | b'"' | b'\\', ..]) || starts_with_terminal_control(text)
}

/// Returns whether a text, which is UTF-8, begins with a character that a terminal may act on.
fn starts_with_terminal_control(text: &[u8]) -> bool {
    matches!(
        text,
        // U+007F to U+009F, and U+061C.
        [0x7F, ..] | [0xC2, ..0xA0, ..] | [0xD8, 0x9C, ..]
            // U+200E, U+200F, U+2028 to U+202E, and U+2060 to U+206F.
            | [0xE2, 0x80, 0x8E | 0x8F | 0xA8..=0xAE, ..] | [0xE2, 0x81, 0xA0..=0xAF, ..]
            // U+FEFF, and U+FFF9 to U+FFFB.
            | [0xEF, 0xBB, 0xBF, ..] | [0xEF, 0xBF, 0xB9..=0xBB, ..]
            // U+E0000 to U+E007F.
            | [0xF3, 0xA0, 0x80 | 0x81, ..]
    )
}

/// Returns a text with a space in place of each control, the controls of direction included.
pub(crate) fn replace_controls(text: &str) -> String {
    let is_control = |c: char| {
        c.is_control() || starts_with_terminal_control(c.encode_utf8(&mut [0; 4]).as_bytes())
    };
    text.chars().map(|c| if is_control(c) { ' ' } else { c }).collect()
}

fn write_escape(out: &mut Vec<u8>, c: char) {
    match short_escape(c) {
        Some(letter) => out.extend([b'\\', letter]),
        None => {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a Vec cannot fail.
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
}

fn escape_len(c: char) -> usize {
    if short_escape(c).is_some() { r"\n".len() } else { r"\u0000".len() * c.len_utf16() }
}

/// Returns the letter of an escape of two characters.
fn short_escape(c: char) -> Option<u8> {
    Some(match c {
        '"' => b'"',
        '\\' => b'\\',
        '\u{8}' => b'b',
        '\t' => b't',
        '\n' => b'n',
        '\u{C}' => b'f',
        '\r' => b'r',
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn string(text: &str) -> String {
        let mut out = Vec::new();
        write_string(&mut out, text);
        String::from_utf8(out).unwrap()
    }

    /// The escaped characters from DEL up, each as in the documentation of the module.
    fn is_terminal_control(c: char) -> bool {
        matches!(c,
            '\u{7F}'..='\u{9F}'
            | '\u{2028}' | '\u{2029}'
            | '\u{61C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}'
            | '\u{2066}'..='\u{2069}' | '\u{2060}'..='\u{2065}' | '\u{206A}'..='\u{206F}'
            | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E007F}')
    }

    #[test]
    fn each_character_is_escaped_or_unchanged() {
        for c in '\0'..=char::MAX {
            let text = c.to_string();
            let expected = if is_terminal_control(c) {
                let units = text.encode_utf16().map(|unit| format!("\\u{unit:04x}"));
                format!("\"{}\"", units.collect::<String>())
            } else {
                serde_json::to_string(&text).unwrap()
            };
            assert_eq!(string(&text), expected);
            assert_eq!(escaped_len(&text), expected.len() - 2, "{c:?}");
            assert!(escaped_len(&text) <= 6 * text.len(), "{c:?}");
        }
    }

    #[test]
    fn emoji_and_ordinary_text_are_unchanged() {
        for text in [
            "👩\u{200D}💻 ❤\u{FE0F} 👍🏽",
            "小明，“你好”…",
            "می\u{200C}خواهم",
            "葛\u{E0100}",
            "é ° « »",
        ] {
            assert_eq!(string(text), format!("\"{text}\""));
        }
    }

    /// Texts with many escaped characters, and with their neighbours.
    fn text() -> impl Strategy<Value = String> {
        let c = prop_oneof![
            any::<char>(),
            (0u32..0xA8).prop_filter_map("a surrogate", char::from_u32),
            (0x2000u32..0x2078).prop_filter_map("a surrogate", char::from_u32),
            prop_oneof![Just('\u{FEFF}'), Just('\u{61C}'), Just('\u{E0001}'), Just('\u{E0100}')],
            Just('a'),
        ];
        proptest::collection::vec(c, 0..60).prop_map(String::from_iter)
    }

    proptest! {
        #[test]
        fn string_has_the_same_value_and_no_controls(text in text()) {
            let string = string(&text);
            prop_assert_eq!(serde_json::from_str::<String>(&string).unwrap(), &*text);
            prop_assert!(!string.chars().any(|c| c < ' ' || is_terminal_control(c)));
            prop_assert_eq!(escaped_len(&text) + 2, string.len());
        }

        #[test]
        fn escaped_json_equals_encoded_string(text in text()) {
            let mut out = serde_json::to_vec(&(&text, &text)).unwrap();
            escape_terminal_controls(&mut out, 1);
            let expected = format!("[{0},{0}]", string(&text));
            prop_assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }
}
