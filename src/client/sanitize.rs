//! Text that is safe to print.

use std::fmt::Write;

use crate::protocol::MAX_MARKS;

/// A text in which nothing can move the cursor, change a colour, ring, or turn the direction of
/// what is around it: such characters are shown instead of obeyed.
pub fn sanitize(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut marks = 0;
    for c in text.chars() {
        marks = if is_mark(c) { marks + 1 } else { 0 };
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

/// Characters that show nothing of themselves but change what is around them: controls of
/// direction and of line breaking, invisible operators, annotations, controls of music and of
/// shorthand, and tags. Those that join
/// and vary what is next to them (U+200C, U+200D, U+FE0F) are left, because emoji and several
/// scripts are made of them.
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

/// Characters that take no room of their own: general marks, joiners and what varies a character.
fn is_mark(c: char) -> bool {
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
    fn controls_are_shown_not_obeyed() {
        assert_eq!(sanitize("a\x1b[31mb\x07\r\n\x7f\u{9b}1m"), "a^[[31mb^G^M^J^?<U+009B>1m");
        assert_eq!(sanitize("\u{202E}evil\u{200B}"), "<U+202E>evil<U+200B>");
        assert_eq!(sanitize("\u{1D173}\u{1BCA0}\u{FFF8}"), "<U+1D173><U+1BCA0><U+FFF8>");
        assert_eq!(sanitize("你好 é 👩\u{200D}💻"), "你好 é 👩\u{200D}💻");
    }

    #[test]
    fn marks_do_not_pile_up() {
        let tower = |height| format!("e{}", "\u{301}".repeat(height));
        assert_eq!(sanitize(&tower(MAX_MARKS)), tower(MAX_MARKS));
        assert_eq!(sanitize(&tower(MAX_MARKS + 1)), tower(MAX_MARKS) + "<U+0301>");
    }

    proptest! {
        #[test]
        fn no_text_leaves_its_line(text in any::<String>()) {
            prop_assert!(sanitize(&text).chars().all(|c| !c.is_control() && !is_invisible(c)));
        }
    }
}
