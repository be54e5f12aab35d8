//! What a member may be called.

use super::SERVER;
use super::confusables::{is_mark, looks_like};

/// The longest name, in characters.
pub const MAX_NAME: usize = 32;

/// Marks in a row beyond which they are no part of any script, but a tower that reaches into the
/// lines above.
pub const MAX_MARKS: usize = 6;

/// Whether `name` may be a member's name: 1 to [`MAX_NAME`] letters, digits, `-`, `_` or `.`
/// of any script, at least one of them a letter or a digit, with no more than [`MAX_MARKS`] marks in
/// a row, and neither the server's own nor one that looks like it.
///
/// Spaces, controls, format characters (bidirectional controls and zero-width ones among
/// them) and letters that show nothing are out.
///
/// ```
/// use smolchat::protocol::is_valid_name;
///
/// assert!(is_valid_name("alice") && is_valid_name("Żółw-2") && is_valid_name("小明"));
/// assert!(!is_valid_name("") && !is_valid_name("two words") && !is_valid_name("Server"));
/// ```
pub fn is_valid_name(name: &str) -> bool {
    let mut length = 0;
    let mut has_base = false;
    let mut marks = 0;
    for c in name.chars() {
        length += 1;
        let mark = is_mark(c);
        marks = if mark { marks + 1 } else { 0 };
        if marks > MAX_MARKS {
            return false;
        }
        if is_blank_letter(c) || !(c.is_alphanumeric() || mark || matches!(c, '-' | '_' | '.')) {
            return false;
        }
        has_base |= c.is_alphanumeric() && !mark;
    }
    length <= MAX_NAME && has_base && !looks_like(&case_fold(name), SERVER)
}

/// The form under which names are compared: two names that differ only in case are one.
pub fn case_fold(name: &str) -> String {
    // Upper case is what makes `ß` and `ss`, or `ς` and `σ`, the same. `ẞ` is upper case already,
    // and so has to become `ß` first.
    name.to_lowercase().to_uppercase().to_lowercase()
}

/// Letters to Unicode that a reader sees as nothing at all.
fn is_blank_letter(c: char) -> bool {
    matches!(c, '\u{115F}' | '\u{1160}' | '\u{3164}' | '\u{FFA0}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_and_digits_of_any_script_make_a_name() {
        for name in
            ["a", "alice", "bob_2", "c.d-e", "Ωmega", "अनिरुद्ध", "ผู้ใช้", "小明", "e\u{301}va", "42"]
        {
            assert!(is_valid_name(name), "{name:?}");
        }
    }

    #[test]
    fn what_cannot_be_seen_or_told_apart_is_no_name() {
        for name in [
            "",
            " ",
            "a b",
            "a\tb",
            "a\u{0}",
            "\u{301}",
            "\u{93E}",
            "a\u{200B}b",
            "a\u{202E}b",
            "a\u{200D}b",
            "\u{3164}",
            "a\u{FEFF}",
            "a\u{342}\u{352}\u{342}\u{342}\u{352}\u{352}\u{342}",
            "-",
            "...",
            "server",
            "SERVER",
            "a/b",
            "{}",
            "a\u{1b}[31m",
            "🦀",
        ] {
            assert!(!is_valid_name(name), "{name:?}");
        }
        assert!(is_valid_name(&"x".repeat(MAX_NAME)));
        assert!(!is_valid_name(&"x".repeat(MAX_NAME + 1)));
    }

    #[test]
    fn case_does_not_tell_names_apart() {
        assert_eq!(case_fold("ALICE"), case_fold("alice"));
        assert_eq!(case_fold("ΣΊΣΥΦΟΣ"), case_fold("σίσυφος"));
        for name in ["groß", "GROSS", "gross"] {
            assert_eq!(case_fold("GROẞ"), case_fold(name));
        }
        assert_ne!(case_fold("alice"), case_fold("bob"));
    }
}
