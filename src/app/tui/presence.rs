//! Who came and went, put together.

use crate::protocol::case_fold;

/// Names that a notice of more spells out.
const MAX_NAMES: usize = 2;

/// Joins and leaves that were not shown yet.
#[derive(Debug, Default)]
pub struct PresenceBatch {
    joined: Vec<String>,
    left: Vec<String>,
    /// Unix time of the last of them, in milliseconds.
    time: u64,
}

impl PresenceBatch {
    /// These came, or went.
    pub fn add<'a>(&mut self, names: impl Iterator<Item = &'a str>, is_join: bool, time: u64) {
        let list = if is_join { &mut self.joined } else { &mut self.left };
        for name in names {
            // Who comes and goes again and again is told of once.
            if !list.iter().any(|listed| case_fold(listed) == case_fold(name)) {
                list.push(name.to_owned());
            }
        }
        self.time = time;
    }

    /// Whether there is nothing to be shown.
    pub fn is_empty(&self) -> bool {
        self.joined.is_empty() && self.left.is_empty()
    }

    /// What there is to be shown, each with its mark and time.
    pub fn take(&mut self) -> impl Iterator<Item = (&'static str, String, u64)> + use<> {
        let time = self.time;
        let lists = [("-->", "joined", &mut self.joined), ("<--", "left", &mut self.left)];
        lists
            .map(|(mark, verb, names)| {
                let names = std::mem::take(names);
                (!names.is_empty()).then(|| (mark, format!("{} {verb}", join_names(&names)), time))
            })
            .into_iter()
            .flatten()
    }
}

/// `alice`, `alice and bob`, `alice, bob and carol`, `alice, bob and 2 more`.
fn join_names(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [name] => name.clone(),
        [first @ .., last] if first.len() <= MAX_NAMES => {
            format!("{} and {last}", first.join(", "))
        }
        names => {
            let (spelled, rest) = names.split_at(MAX_NAMES);
            format!("{} and {} more", spelled.join(", "), rest.len())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn presence(joined: &[&str], left: &[&str]) -> Vec<String> {
        let mut presence = PresenceBatch::default();
        for name in joined {
            presence.add([*name].into_iter(), true, 1);
        }
        presence.add(left.iter().copied(), false, 2);
        let texts = presence.take().map(|(mark, text, _)| format!("{mark} {text}")).collect();
        assert!(presence.is_empty());
        texts
    }

    #[test]
    fn those_who_came_and_those_who_went_are_one_line_each() {
        assert_eq!(presence(&[], &[]), [""; 0]);
        assert_eq!(presence(&["alice"], &[]), ["--> alice joined"]);
        assert_eq!(presence(&["alice", "bob", "carol"], &[]), ["--> alice, bob and carol joined"]);
        assert_eq!(
            presence(&["alice", "bob", "a", "b", "c"], &["dave", "erin"]),
            ["--> alice, bob and 3 more joined", "<-- dave and erin left"]
        );
    }

    #[test]
    fn who_comes_and_goes_all_the_time_is_told_of_once() {
        assert_eq!(presence(&["bob", "Bob", "bob"], &["bob"]), ["--> bob joined", "<-- bob left"]);
    }
}
