//! Collecting joins and leaves into one notice.

use std::collections::HashSet;

use crate::protocol::case_fold;

/// The most members of one notice.
const MAX_MEMBERS: usize = 1 << 16;
/// The most members that a notice names.
const MAX_LISTED: usize = 3;

/// Joins and leaves that are not shown yet.
#[derive(Debug, Default)]
pub struct PresenceBatch {
    joined: Members,
    left: Members,
    /// The Unix time of the latest change, in milliseconds.
    time: u64,
}

/// The members of one notice.
#[derive(Debug, Default)]
struct Members {
    /// All names, case-folded: a member that joins and leaves repeatedly is counted once.
    folded: HashSet<String>,
    /// The first names.
    listed: Vec<String>,
}

impl PresenceBatch {
    /// Adds members that joined or left at `time`.
    pub fn add<'a>(&mut self, names: impl Iterator<Item = &'a str>, is_join: bool, time: u64) {
        let members = if is_join { &mut self.joined } else { &mut self.left };
        for name in names {
            if members.folded.insert(case_fold(name)) && members.listed.len() < MAX_LISTED {
                members.listed.push(name.to_owned());
            }
        }
        self.time = time;
    }

    /// Returns whether there is nothing to show.
    pub fn is_empty(&self) -> bool {
        self.joined.listed.is_empty() && self.left.listed.is_empty()
    }

    /// Returns whether there are so many members that they must be shown before others are added.
    pub fn is_full(&self) -> bool {
        self.joined.folded.len().max(self.left.folded.len()) >= MAX_MEMBERS
    }

    /// Removes all joins and leaves and returns them as notices, each with its mark and time.
    pub fn take(&mut self) -> impl Iterator<Item = (&'static str, String, u64)> + use<> {
        let time = self.time;
        let lists = [("-->", "joined", &mut self.joined), ("<--", "left", &mut self.left)];
        lists
            .map(|(mark, verb, members)| {
                let text = std::mem::take(members).join_names()?;
                Some((mark, format!("{text} {verb}"), time))
            })
            .into_iter()
            .flatten()
    }
}

impl Members {
    /// Returns `alice`, `alice and bob`, `alice, bob and carol` or `alice, bob and 2 more`.
    fn join_names(&self) -> Option<String> {
        let count = self.folded.len();
        match &*self.listed {
            [] => None,
            [name] => Some(name.clone()),
            [first, second] => Some(format!("{first} and {second}")),
            [first, second, third] if count == 3 => Some(format!("{first}, {second} and {third}")),
            [first, second, ..] => Some(format!("{first}, {second} and {} more", count - 2)),
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

    #[test]
    fn notice_of_ten_thousand_names_takes_linear_time() {
        let names: Vec<String> = (0..10_000).map(|number| format!("member-{number}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        // If each name were compared with each other, this would take minutes.
        for _ in 0..20 {
            let notice = format!("<-- {}, {} and 9998 more left", names[0], names[1]);
            assert_eq!(presence(&[], &names), [notice]);
        }
    }
}
