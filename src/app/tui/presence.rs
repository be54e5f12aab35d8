//! Collecting joins and leaves into one notice each.

use std::collections::HashMap;

use crate::protocol::case_fold;

/// The most bytes of names that are collected, except those of one more frame.
const MAX_BYTES: usize = 64 << 10;
/// The longest time between two changes that are collected, in milliseconds. Lines of the history
/// arrive together, but may be hours apart.
const WINDOW: u64 = 1000;

/// Joins and leaves that are not shown yet: those that are left after each pair of a join and a
/// leave of the same member is removed.
#[derive(Debug, Default)]
pub struct PresenceBatch {
    /// The changes by the case-folded name of the member.
    changes: HashMap<String, Change>,
    /// The number of the next change.
    next: usize,
    /// The number of the first change since the last call of `take_settled`.
    settled: usize,
    /// The bytes of all names that were added.
    bytes: usize,
    /// The Unix time of the latest change, in milliseconds.
    time: u64,
}

/// A notice of one or more joins, or of one or more leaves.
#[derive(Debug, PartialEq, Eq)]
pub struct PresenceNotice {
    /// `-->` for joins, `<--` for leaves.
    pub sign: &'static str,
    pub text: String,
    /// Unix time in milliseconds.
    pub time: u64,
}

#[derive(Debug)]
struct Change {
    number: usize,
    name: String,
    is_join: bool,
}

impl PresenceBatch {
    /// Adds members that joined or left at `time`.
    pub fn add<'a>(&mut self, names: impl Iterator<Item = &'a str>, is_join: bool, time: u64) {
        for name in names {
            let key = case_fold(name);
            self.bytes += name.len();
            match self.changes.get(&key) {
                // A repeated notice of a faulty server.
                Some(change) if change.is_join == is_join => {}
                Some(_) => drop(self.changes.remove(&key)),
                None => {
                    let change = Change { number: self.next, name: name.to_owned(), is_join };
                    self.next += 1;
                    self.changes.insert(key, change);
                }
            }
        }
        self.time = time;
    }

    /// Returns whether there is nothing to show.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Returns whether a change at `time` can be added. If not, the others have to be taken before.
    pub fn accepts(&self, time: u64) -> bool {
        self.is_empty() || self.bytes <= MAX_BYTES && time.abs_diff(self.time) <= WINDOW
    }

    /// Removes all joins and leaves and returns them as notices, the one with the earliest change
    /// first.
    pub fn take(&mut self) -> impl Iterator<Item = PresenceNotice> + use<> {
        self.settled = self.next;
        self.take_settled()
    }

    /// Does the same as [`take`](Self::take) with the changes from before the last call only, so
    /// that each change is held for at least the time between two calls.
    pub fn take_settled(&mut self) -> impl Iterator<Item = PresenceNotice> + use<> {
        let settled = std::mem::replace(&mut self.settled, self.next);
        let (mut changes, later): (Vec<Change>, Vec<Change>) =
            std::mem::take(&mut self.changes).into_values().partition(|c| c.number < settled);
        self.bytes = later.iter().map(|change| change.name.len()).sum();
        self.changes = later.into_iter().map(|change| (case_fold(&change.name), change)).collect();
        let time = self.time;
        changes.sort_unstable_by_key(|change| change.number);
        let first_is_join = changes.first().is_some_and(|change| change.is_join);
        let (first, second): (Vec<Change>, Vec<Change>) =
            changes.into_iter().partition(|change| change.is_join == first_is_join);
        let lists = [(first, first_is_join), (second, !first_is_join)];
        lists.into_iter().filter(|(changes, _)| !changes.is_empty()).map(
            move |(changes, is_join)| {
                let names: Vec<String> = changes.into_iter().map(|change| change.name).collect();
                let (sign, verb) = if is_join { ("-->", "joined") } else { ("<--", "left") };
                PresenceNotice { sign, text: format!("{} {verb}", join_names(&names)), time }
            },
        )
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
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// Returns the notices for changes such as `+alice` and `-bob`.
    fn notices(changes: &[&str]) -> Vec<String> {
        let mut presence = PresenceBatch::default();
        for change in changes {
            let (sign, name) = change.split_at(1);
            presence.add([name].into_iter(), sign == "+", 1);
        }
        let notices = presence.take().map(|notice| format!("{} {}", notice.sign, notice.text));
        let notices = notices.collect();
        assert!(presence.is_empty());
        notices
    }

    #[test]
    fn joins_and_leaves_are_one_notice_each() {
        assert_eq!(notices(&[]), [""; 0]);
        assert_eq!(notices(&["+alice"]), ["--> alice joined"]);
        let joined = notices(&["+alice", "+bob", "+carol"]);
        assert_eq!(joined, ["--> alice, bob and carol joined"]);
        assert_eq!(
            notices(&["+alice", "+bob", "-dave", "+a", "+b", "-erin", "+c"]),
            ["--> alice, bob and 3 more joined", "<-- dave and erin left"]
        );
    }

    #[test]
    fn earlier_notice_is_first() {
        assert_eq!(notices(&["-bob", "+carol"]), ["<-- bob left", "--> carol joined"]);
        assert_eq!(notices(&["+carol", "-bob"]), ["--> carol joined", "<-- bob left"]);
        let expected = ["<-- bob left", "--> carol and dave joined"];
        assert_eq!(notices(&["+dave", "-dave", "-bob", "+carol", "+dave"]), expected);
    }

    #[test]
    fn return_and_short_visit_are_not_shown() {
        assert_eq!(notices(&["-erin", "+erin"]), [""; 0]);
        assert_eq!(notices(&["+erin", "-Erin"]), [""; 0]);
        assert_eq!(notices(&["-erin", "+erin", "-erin"]), ["<-- erin left"]);
        assert_eq!(notices(&["+erin", "+ERIN"]), ["--> erin joined"]);
    }

    #[test]
    fn change_is_held_between_two_ticks() {
        let mut presence = PresenceBatch::default();
        presence.add(["erin"].into_iter(), false, 1);
        assert_eq!(presence.take_settled().count(), 0);
        presence.add(["bob"].into_iter(), true, 2);
        let texts: Vec<String> = presence.take_settled().map(|notice| notice.text).collect();
        assert_eq!(texts, ["erin left"]);
        assert!(!presence.is_empty());
        presence.add(["bob"].into_iter(), false, 3);
        assert!(presence.is_empty());
    }

    #[test]
    fn large_notice_is_added_in_linear_time() {
        let names: Vec<String> = (0..20_000).map(|number| format!("member-{number}")).collect();
        let mut presence = PresenceBatch::default();
        presence.add(names.iter().map(String::as_str), true, 1);
        assert!(!presence.accepts(1));
        presence.add(names.iter().map(String::as_str), false, 1);
        assert!(presence.is_empty() && presence.accepts(1));
    }

    proptest! {
        /// The notices are the difference between the members before and after.
        #[test]
        fn notices_are_the_difference(
            before in proptest::collection::btree_set(0..6usize, 0..6),
            steps in proptest::collection::vec(0..6usize, 0..40),
        ) {
            const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
            let mut after = before.clone();
            let mut presence = PresenceBatch::default();
            for step in steps {
                let is_join = after.insert(step);
                if !is_join {
                    after.remove(&step);
                }
                presence.add([NAMES[step]].into_iter(), is_join, 1);
            }
            let shown = |is_join| -> BTreeSet<&str> {
                let changes = presence.changes.values();
                changes.filter(|c| c.is_join == is_join).map(|c| c.name.as_str()).collect()
            };
            let names = |set: &BTreeSet<usize>, other: &BTreeSet<usize>| -> BTreeSet<&str> {
                set.difference(other).map(|member| NAMES[*member]).collect()
            };
            prop_assert_eq!(shown(true), names(&after, &before));
            prop_assert_eq!(shown(false), names(&before, &after));
            let count = usize::from(!shown(true).is_empty()) + usize::from(!shown(false).is_empty());
            prop_assert_eq!(presence.take().count(), count);
        }
    }
}
