//! Rules for the names of members: which are valid, and which are equal.

use super::SERVER;
use super::confusables::{is_ignorable, is_mark, is_name_mark, looks_like};

/// The longest name, in characters.
pub const MAX_NAME: usize = 32;

/// The most combining marks in a row.
///
/// No script needs more; a longer run is drawn over the lines above and below.
pub const MAX_MARKS: usize = 6;

/// Returns whether a member can have the name `name`.
///
/// A valid name has 1 to [`MAX_NAME`] letters, digits, `-`, `_` or `.`, of any script, at least
/// one letter or digit, and at most [`MAX_MARKS`] combining marks in a row. It is not [`SERVER`]
/// and does not look like it. Spaces, control and format characters, and characters that are not
/// drawn (Default_Ignorable_Code_Point) are not valid.
///
/// # Examples
///
/// ```
/// use smolchat::protocol::is_valid_name;
///
/// assert!(is_valid_name("alice") && is_valid_name("Żółw-2") && is_valid_name("小明"));
/// assert!(!is_valid_name("") && !is_valid_name("two words") && !is_valid_name("Server"));
/// ```
#[must_use]
pub fn is_valid_name(name: &str) -> bool {
    let mut length = 0;
    let mut has_base = false;
    let mut marks = 0;
    for c in name.chars() {
        length += 1;
        let is_mark = is_mark(c);
        marks = if is_mark { marks + 1 } else { 0 };
        if marks > MAX_MARKS {
            return false;
        }
        let is_name_character =
            c.is_alphanumeric() || is_name_mark(c) || matches!(c, '-' | '_' | '.');
        if is_ignorable(c) || !is_name_character {
            return false;
        }
        has_base |= c.is_alphanumeric() && !is_mark;
    }
    length <= MAX_NAME && has_base && !looks_like(name, SERVER)
}

/// Returns the form in which names are compared: names that differ only in case have the same.
///
/// # Examples
///
/// ```
/// use smolchat::protocol::case_fold;
///
/// assert_eq!(case_fold("Alice"), case_fold("ALICE"));
/// assert_ne!(case_fold("alice"), case_fold("bob"));
/// ```
#[must_use]
pub fn case_fold(name: &str) -> String {
    // Upper case maps `ß` to `SS`, and `ς` and `σ` to the same letter. `ẞ` is upper case already
    // and must become `ß` first.
    name.to_lowercase().to_uppercase().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_of_any_script_is_valid() {
        for name in
            ["a", "alice", "bob_2", "c.d-e", "Ωmega", "अनिरुद्ध", "ผู้ใช้", "小明", "e\u{301}va", "42"]
        {
            assert!(is_valid_name(name), "{name:?}");
        }
    }

    #[test]
    fn invisible_or_reserved_name_is_invalid() {
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
            "alice\u{34F}",
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
    fn case_fold_ignores_case_only() {
        assert_eq!(case_fold("ALICE"), case_fold("alice"));
        assert_eq!(case_fold("ΣΊΣΥΦΟΣ"), case_fold("σίσυφος"));
        for name in ["groß", "GROSS", "gross"] {
            assert_eq!(case_fold("GROẞ"), case_fold(name));
        }
        assert_ne!(case_fold("alice"), case_fold("bob"));
    }
}
