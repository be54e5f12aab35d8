//! Completion of commands and names with Tab.

use super::commands::{Argument, COMMANDS};
use crate::protocol::case_fold;

/// The possible completions of the word before the cursor.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Completions {
    /// The word.
    pub word: String,
    /// The replacements of the word, the likeliest first.
    pub candidates: Vec<String>,
}

/// Returns the completions of `head`, the text before the cursor, with the names of the members.
pub fn complete(head: &str, names: &[String]) -> Completions {
    let (before, word) = head.rsplit_once(char::is_whitespace).unwrap_or(("", head));
    let is_first_word = word.len() == head.len();
    if is_first_word && word.starts_with('/') {
        let commands = COMMANDS.iter().map(|(name, _)| format!("{name} "));
        let candidates = filter_by_prefix(word, commands);
        return Completions { word: word.to_owned(), candidates };
    }
    let mut words = before.split_whitespace();
    let command = words.next().unwrap_or_default().to_ascii_lowercase();
    let argument =
        COMMANDS.iter().find(|(name, _)| *name == command).map(|(_, argument)| *argument);
    let is_first = words.next().is_none();
    let names_with_space = || names.iter().map(|name| format!("{name} "));
    let candidates = match argument {
        Some(Argument::Free) => Vec::new(),
        Some(Argument::Name) if !is_first => Vec::new(),
        // Only a name can follow, so all names are candidates of an empty word.
        Some(Argument::Name | Argument::NameAndText) if is_first => {
            filter_by_prefix(word, names_with_space())
        }
        Some(Argument::Word(choices)) if is_first => {
            filter_by_prefix(word, choices.iter().map(|&choice| choice.to_owned()))
        }
        Some(Argument::Word(_)) => Vec::new(),
        _ if word.is_empty() => Vec::new(),
        _ if is_first_word => filter_by_prefix(word, names.iter().map(|name| format!("{name}: "))),
        _ => filter_by_prefix(word, names_with_space()),
    };
    Completions { word: word.to_owned(), candidates }
}

fn filter_by_prefix(word: &str, all: impl Iterator<Item = String>) -> Vec<String> {
    let word = case_fold(word);
    all.filter(|candidate| case_fold(candidate).starts_with(&word)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(head: &str) -> Vec<String> {
        let names = ["carol", "alice", "Alan", "小明"].map(str::to_owned);
        complete(head, &names).candidates
    }

    #[test]
    fn name_at_the_start_gets_a_colon() {
        assert_eq!(candidates("al"), ["alice: ", "Alan: "]);
        assert_eq!(candidates("AL"), ["alice: ", "Alan: "]);
        assert_eq!(candidates("ask al"), ["alice ", "Alan "]);
        assert_eq!(candidates("小"), ["小明: "]);
        assert_eq!(complete("你好\u{3000}小", &["小明".into()]).word, "小");
        assert_eq!(candidates("x"), [""; 0]);
        assert_eq!(candidates(""), [""; 0]);
    }

    #[test]
    fn commands_and_their_arguments_are_completed() {
        assert_eq!(candidates("/n"), ["/nick "]);
        assert_eq!(candidates("/re"), ["/reconnect "]);
        assert_eq!(candidates("/msg c"), ["carol "]);
        assert_eq!(candidates("/msg "), ["carol ", "alice ", "Alan ", "小明 "]);
        assert_eq!(candidates("/msg carol ask al"), ["alice ", "Alan "]);
        assert_eq!(candidates("/ignore a"), ["alice ", "Alan "]);
        assert_eq!(candidates("/ignore bob a"), [""; 0]);
        assert_eq!(candidates("/time o"), ["off", "on"]);
        assert_eq!(candidates("/me hugs c"), ["carol "]);
        assert_eq!(candidates("/nick al"), [""; 0]);
        assert_eq!(candidates("/dance al"), ["alice ", "Alan "]);
    }
}
