//! What a member may be called.

use super::SERVER;
use super::lookalike::looks_like;

/// The longest name, in characters.
pub const MAX_NAME: usize = 32;

/// Whether `name` may be a member's name: 1 to [`MAX_NAME`] letters, digits, `-`, `_` or `.`
/// of any script, at least one of them a letter or a digit, and neither the server's own nor one
/// that looks like it.
///
/// Spaces, controls, format characters (bidirectional controls and zero-width ones among
/// them) and letters that show nothing are out.
///
/// ```
/// use smolchat::protocol::is_valid;
///
/// assert!(is_valid("alice") && is_valid("Żółw-2") && is_valid("小明"));
/// assert!(!is_valid("") && !is_valid("two words") && !is_valid("Server"));
/// ```
pub fn is_valid(name: &str) -> bool {
    let mut length = 0;
    let mut has_base = false;
    for c in name.chars() {
        length += 1;
        let mark = is_mark(c);
        if is_blank_letter(c) || !(c.is_alphanumeric() || mark || matches!(c, '-' | '_' | '.')) {
            return false;
        }
        has_base |= c.is_alphanumeric() && !mark;
    }
    length <= MAX_NAME && has_base && !looks_like(&fold(name), SERVER)
}

/// The form under which names are compared: two names that differ only in case are one.
pub fn fold(name: &str) -> String {
    // Upper case is what makes `ß` and `ss`, or `ς` and `σ`, the same. `ẞ` is upper case already,
    // and so has to become `ß` first.
    name.to_lowercase().to_uppercase().to_lowercase()
}

/// Letters to Unicode that a reader sees as nothing at all.
fn is_blank_letter(c: char) -> bool {
    matches!(c, '\u{115F}' | '\u{1160}' | '\u{3164}' | '\u{FFA0}')
}

/// Marks that belong to a letter before them: the general diacritics, and those without which
/// names in Hebrew, Arabic, the Indic scripts, Thai, Lao, Burmese, Khmer and Japanese kana
/// cannot be written. The standard library counts many vowel signs as letters already.
pub fn is_mark(c: char) -> bool {
    matches!(c,
        '\u{300}'..='\u{36F}'
        | '\u{483}'..='\u{487}'
        | '\u{591}'..='\u{5BD}'
        | '\u{610}'..='\u{61A}'
        | '\u{64B}'..='\u{65F}'
        | '\u{900}'..='\u{903}' | '\u{93A}'..='\u{93C}' | '\u{93E}'..='\u{94F}'
        | '\u{9BC}' | '\u{9BE}'..='\u{9CD}'
        | '\u{A3C}' | '\u{A3E}'..='\u{A4D}'
        | '\u{ABC}' | '\u{ABE}'..='\u{ACD}'
        | '\u{B3C}' | '\u{B3E}'..='\u{B4D}'
        | '\u{BBE}'..='\u{BCD}'
        | '\u{C3E}'..='\u{C4D}'
        | '\u{CBC}' | '\u{CBE}'..='\u{CCD}'
        | '\u{D3E}'..='\u{D4D}'
        | '\u{DCA}'..='\u{DDF}'
        | '\u{E31}' | '\u{E34}'..='\u{E3A}' | '\u{E47}'..='\u{E4E}'
        | '\u{EB1}' | '\u{EB4}'..='\u{EBC}' | '\u{EC8}'..='\u{ECE}'
        | '\u{102B}'..='\u{103E}'
        | '\u{17B6}'..='\u{17D3}'
        | '\u{3099}' | '\u{309A}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_and_digits_of_any_script_make_a_name() {
        for name in
            ["a", "alice", "bob_2", "c.d-e", "Ωmega", "अनिरुद्ध", "ผู้ใช้", "小明", "e\u{301}va", "42"]
        {
            assert!(is_valid(name), "{name:?}");
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
            "-",
            "...",
            "server",
            "SERVER",
            "a/b",
            "{}",
            "a\u{1b}[31m",
            "🦀",
        ] {
            assert!(!is_valid(name), "{name:?}");
        }
        assert!(is_valid(&"x".repeat(MAX_NAME)));
        assert!(!is_valid(&"x".repeat(MAX_NAME + 1)));
    }

    #[test]
    fn case_does_not_tell_names_apart() {
        assert_eq!(fold("ALICE"), fold("alice"));
        assert_eq!(fold("ΣΊΣΥΦΟΣ"), fold("σίσυφος"));
        for name in ["groß", "GROSS", "gross"] {
            assert_eq!(fold("GROẞ"), fold(name));
        }
        assert_ne!(fold("alice"), fold("bob"));
    }
}
