//! Collecting joins and leaves into one notice.

use crate::protocol::case_fold;

/// Joins and leaves that are not shown yet.
#[derive(Debug, Default)]
pub struct PresenceBatch {
    joined: Vec<String>,
    left: Vec<String>,
    /// The Unix time of the latest change, in milliseconds.
    time: u64,
}

impl PresenceBatch {
    /// Adds members that joined or left at `time`.
    pub fn add<'a>(&mut self, names: impl Iterator<Item = &'a str>, is_join: bool, time: u64) {
        let list = if is_join { &mut self.joined } else { &mut self.left };
        for name in names {
            // A member that joins and leaves repeatedly is listed once.
            if !list.iter().any(|listed| case_fold(listed) == case_fold(name)) {
                list.push(name.to_owned());
            }
        }
        self.time = time;
    }

    /// Returns whether there is nothing to show.
    pub fn is_empty(&self) -> bool {
        self.joined.is_empty() && self.left.is_empty()
    }

    /// Removes all joins and leaves and returns them as notices, each with its mark and time.
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

/// Returns `alice`, `alice and bob`, `alice, bob and carol` or `alice, bob and 2 more`.
fn join_names(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [name] => name.clone(),
        [first, second] => format!("{first} and {second}"),
        [first, second, third] => format!("{first}, {second} and {third}"),
        [first, second, rest @ ..] => format!("{first}, {second} and {} more", rest.len()),
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
    fn joins_and_leaves_are_one_notice_each() {
        assert_eq!(presence(&[], &[]), [""; 0]);
        assert_eq!(presence(&["alice"], &[]), ["--> alice joined"]);
        assert_eq!(presence(&["alice", "bob", "carol"], &[]), ["--> alice, bob and carol joined"]);
        assert_eq!(
            presence(&["alice", "bob", "a", "b", "c"], &["dave", "erin"]),
            ["--> alice, bob and 3 more joined", "<-- dave and erin left"]
        );
    }

    #[test]
    fn repeated_join_of_a_member_is_listed_once() {
        assert_eq!(presence(&["bob", "Bob", "bob"], &["bob"]), ["--> bob joined", "<-- bob left"]);
    }
}
