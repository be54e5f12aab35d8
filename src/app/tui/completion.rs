//! What Tab makes of what was typed.

use super::commands::{Argument, COMMANDS};
use crate::protocol::case_fold;

/// What the text before the cursor may become.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Completions {
    /// Where the part begins that is replaced, in bytes.
    pub start: usize,
    /// By what, the likeliest first.
    pub candidates: Vec<String>,
}

/// What `head`, the text before the cursor, may become, where these `names` are here.
pub fn complete(head: &str, names: &[String]) -> Completions {
    let start = head.rfind(char::is_whitespace).map_or(0, |place| {
        place + head.get(place..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8)
    });
    let word = head.get(start..).unwrap_or_default();
    if start == 0 && word.starts_with('/') {
        let commands = COMMANDS.iter().map(|(name, _)| format!("{name} "));
        return Completions { start, candidates: filter_by_prefix(word, commands) };
    }
    let mut words = head.get(..start).unwrap_or_default().split_whitespace();
    let command = words.next().unwrap_or_default().to_ascii_lowercase();
    let argument =
        COMMANDS.iter().find(|(name, _)| *name == command).map(|(_, argument)| *argument);
    let is_first = words.next().is_none();
    let names_with_space = || names.iter().map(|name| format!("{name} "));
    let candidates = match argument {
        Some(Argument::Free) => Vec::new(),
        Some(Argument::Name) if !is_first => Vec::new(),
        // Here a name is all that can come, so that none of it needs to be typed.
        Some(Argument::Name | Argument::NameAndText) if is_first => {
            filter_by_prefix(word, names_with_space())
        }
        Some(Argument::Word(choices)) if is_first => {
            filter_by_prefix(word, choices.iter().map(|&choice| choice.to_owned()))
        }
        Some(Argument::Word(_)) => Vec::new(),
        _ if word.is_empty() => Vec::new(),
        _ if start == 0 => filter_by_prefix(word, names.iter().map(|name| format!("{name}: "))),
        _ => filter_by_prefix(word, names_with_space()),
    };
    Completions { start, candidates }
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
    fn a_name_at_the_start_is_addressed_and_elsewhere_it_is_a_word() {
        assert_eq!(candidates("al"), ["alice: ", "Alan: "]);
        assert_eq!(candidates("AL"), ["alice: ", "Alan: "]);
        assert_eq!(candidates("ask al"), ["alice ", "Alan "]);
        assert_eq!(candidates("小"), ["小明: "]);
        assert_eq!(complete("你好\u{3000}小", &["小明".into()]).start, "你好\u{3000}".len());
        assert_eq!(candidates("x"), [""; 0]);
        assert_eq!(candidates(""), [""; 0]);
    }

    #[test]
    fn commands_are_completed_with_what_they_take() {
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
