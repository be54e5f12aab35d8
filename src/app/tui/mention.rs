//! The kinds of frames, and mentions of the user in them.

use super::entry::EntryKind;
use crate::protocol::{Body, Frame, case_fold, is_mark};

/// Returns the kind of the entry for a frame, and whether it is highlighted.
pub fn classify(frame: &Frame<'_>, own_name: &str, highlights: &[String]) -> (EntryKind, bool) {
    let is_own = frame.data_source == own_name;
    let is_mentioned = || {
        let mut words = std::iter::once(own_name).chain(highlights.iter().map(String::as_str));
        words.any(|word| mentions(&frame.data, word))
    };
    match &frame.body {
        Body::Chat { .. } | Body::Unknown if is_own => (EntryKind::Own, false),
        Body::Chat { .. } | Body::Unknown => (EntryKind::Chat, is_mentioned()),
        Body::Action { .. } => (EntryKind::Action, !is_own && is_mentioned()),
        Body::Private { .. } => (EntryKind::Private, !is_own),
        Body::Name { .. } => (EntryKind::Presence("---"), false),
        Body::Error { .. } => (EntryKind::Error, false),
        _ => (EntryKind::Info, false),
    }
}

/// Returns whether `text` contains `name` as a word of its own.
fn mentions(text: &str, name: &str) -> bool {
    if name.is_empty() {
        return false;
    }
    let (text, name) = (case_fold(text), case_fold(name));
    let has_spaces = !name.contains(is_without_spaces);
    let is_letter = |c: Option<char>| {
        c.is_some_and(|c| {
            (c.is_alphanumeric() || matches!(c, '_' | '-') || is_mark(c)) && !is_without_spaces(c)
        })
    };
    let (mut last, mut rest) = (None, &*text);
    while let Some((head, tail)) = rest.split_once(&*name) {
        let (before, after) = (head.chars().next_back().or(last), tail.chars().next());
        if !has_spaces || !is_letter(before) && !is_letter(after) {
            return true;
        }
        (last, rest) = (name.chars().next_back(), tail);
    }
    false
}

/// Returns whether a script has no spaces between words: Thai, Lao, Burmese, Khmer and those of
/// East Asia. Korean has them, but particles follow a name without a space.
fn is_without_spaces(c: char) -> bool {
    matches!(c,
        '\u{E00}'..='\u{EFF}'
        | '\u{1000}'..='\u{109F}'
        | '\u{1100}'..='\u{11FF}'
        | '\u{1780}'..='\u{17FF}'
        | '\u{2E80}'..='\u{D7FF}'
        | '\u{F900}'..='\u{FAFF}'
        | '\u{20000}'..='\u{3FFFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn word_is_mentioned_only_as_a_whole() {
        for (text, word, is_mentioned) in [
            ("hello Alice!", "alice", true),
            ("malice", "alice", false),
            ("alice_2 and al-alice", "alice", false),
            ("malice, alice", "alice", true),
            ("dafür", "für", false),
            ("FÜR alle", "für", true),
            ("приветы", "привет", false),
            ("早上好小明你在吗", "小明", true),
            ("你好alice吗", "alice", true),
            ("the build failed again", "build failed", true),
            ("rebuild failed", "build failed", false),
            ("cafe\u{301}", "cafe", false),
            ("c++ or c", "c++", true),
            ("anything", "", false),
        ] {
            assert_eq!(mentions(text, word), is_mentioned, "{text} {word}");
        }
    }
}
