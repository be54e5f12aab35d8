//! Text that is safe to print on a terminal.

use std::fmt::Write;

use crate::protocol::MAX_MARKS;

/// Replaces control and format characters by visible text.
///
/// The result cannot move the cursor, change colours, ring the bell, or change the direction of the
/// text around it. Combining marks are kept up to the number that a name may have in a row.
///
/// # Examples
///
/// ```
/// use smolchat::client::sanitize;
///
/// assert_eq!(sanitize("red: \u{1b}[31m"), "red: ^[[31m");
/// assert_eq!(sanitize("\u{202E}txt.exe"), "<U+202E>txt.exe");
/// ```
#[must_use]
pub fn sanitize(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut marks = 0;
    for c in text.chars() {
        marks = if is_zero_width(c) { marks + 1 } else { 0 };
        match c {
            '\0'..='\x1f' => shown.extend(['^', char::from(c as u8 + 0x40)]),
            '\x7f' => shown.push_str("^?"),
            c if c.is_control() || is_invisible(c) || marks > MAX_MARKS => {
                // Writing to a String cannot fail.
                let _ = write!(shown, "<U+{:04X}>", u32::from(c));
            }
            c => shown.push(c),
        }
    }
    shown
}

/// Returns whether a character is invisible but changes the text around it.
///
/// These are controls of direction, of line breaks, of music and of shorthand, invisible operators,
/// annotations and tags. Joiners and variation selectors (U+200C, U+200D, U+FE0F) are not among
/// them: emoji and several scripts need them.
pub fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{AD}'
        | '\u{61C}'
        | '\u{180E}'
        | '\u{200B}' | '\u{200E}' | '\u{200F}'
        | '\u{2028}'..='\u{202E}'
        | '\u{2060}'..='\u{206F}'
        | '\u{FEFF}'
        | '\u{FFF0}'..='\u{FFFB}'
        | '\u{1BCA0}'..='\u{1BCA3}'
        | '\u{1D173}'..='\u{1D17A}'
        | '\u{E0000}'..='\u{E0FFF}')
}

/// Returns whether a character has no width of its own: a general combining mark, a joiner or a
/// variation selector.
fn is_zero_width(c: char) -> bool {
    matches!(c,
        '\u{300}'..='\u{36F}'
        | '\u{483}'..='\u{489}'
        | '\u{1AB0}'..='\u{1AFF}'
        | '\u{1DC0}'..='\u{1DFF}'
        | '\u{200C}' | '\u{200D}'
        | '\u{20D0}'..='\u{20FF}'
        | '\u{FE00}'..='\u{FE0F}'
        | '\u{FE20}'..='\u{FE2F}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn control_character_becomes_visible() {
        assert_eq!(sanitize("a\x1b[31mb\x07\r\n\x7f\u{9b}1m"), "a^[[31mb^G^M^J^?<U+009B>1m");
        assert_eq!(sanitize("\u{202E}evil\u{200B}"), "<U+202E>evil<U+200B>");
        assert_eq!(sanitize("\u{1D173}\u{1BCA0}\u{FFF8}"), "<U+1D173><U+1BCA0><U+FFF8>");
    }

    #[test]
    fn emoji_and_accents_are_unchanged() {
        assert_eq!(sanitize("你好 é 👩\u{200D}💻"), "你好 é 👩\u{200D}💻");
    }

    #[test]
    fn marks_over_the_limit_become_visible() {
        let marked = |marks| format!("e{}", "\u{301}".repeat(marks));
        assert_eq!(sanitize(&marked(MAX_MARKS)), marked(MAX_MARKS));
        assert_eq!(sanitize(&marked(MAX_MARKS + 1)), marked(MAX_MARKS) + "<U+0301>");
    }

    proptest! {
        #[test]
        fn any_text_has_no_controls_afterwards(text in any::<String>()) {
            prop_assert!(sanitize(&text).chars().all(|c| !c.is_control() && !is_invisible(c)));
        }
    }
}
