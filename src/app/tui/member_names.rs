//! The names of the members, for the completion.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use crate::protocol::{Body, Frame, case_fold};

/// The most names that are kept.
const MAX_NAMES: usize = 1 << 16;
/// The number of names above which they are passed on only once per [`UPDATE_INTERVAL`]: in a room
/// of 5,000 members, sorting and copying takes longer than handling the line that changed them.
const LARGE_ROOM: usize = 500;
/// The time between two updates of the names of a large room.
const UPDATE_INTERVAL: Duration = Duration::from_secs(1);

/// The names of the members, the latest speaker first.
#[derive(Debug, Default)]
pub struct MemberNames {
    /// By case-folded name.
    members: HashMap<String, SeenMember>,
    /// The number of changes of the order.
    change_count: i64,
    has_changed: bool,
    updated_at: Option<Instant>,
}

#[derive(Debug)]
struct SeenMember {
    name: String,
    /// Sorts the members: speakers have positive ranks, the latest the highest. All others have
    /// negative ones, the first to join the highest.
    rank: i64,
}

impl MemberNames {
    /// Updates the names from a frame. `own_name` is not one of them.
    pub fn update(&mut self, frame: &Frame<'_>, own_name: &str) {
        match &frame.body {
            Body::Who { names, more, .. } => {
                // Members that are still there keep their order.
                let present: HashSet<&str> = names.iter().map(|name| &**name).collect();
                self.members.retain(|_, known| more.is_some() || present.contains(&*known.name));
                for name in names {
                    self.add(name, own_name);
                }
            }
            Body::Join { names, .. } => names.iter().for_each(|name| self.add(name, own_name)),
            Body::Leave { names, .. } => names.iter().for_each(|name| self.remove(name)),
            Body::Name { from, to, .. } => {
                self.remove(from);
                self.add(to, own_name);
            }
            Body::Chat { .. } | Body::Action { .. } | Body::Private { .. } => {
                let name = &frame.data_source;
                let latest = self.members.get(&case_fold(name)).map(|member| member.rank);
                if name != own_name && latest != Some(self.change_count) {
                    self.change_count += 1;
                    self.insert(name, self.change_count);
                }
            }
            Body::Welcome { .. } => {
                self.members.clear();
                self.has_changed = true;
            }
            _ => {}
        }
    }

    /// Returns whether there is a member with this name, in any case.
    pub fn contains(&self, name: &str) -> bool {
        self.members.contains_key(&case_fold(name))
    }

    /// Returns the names if they have changed since the last call, in a large room not more often
    /// than once per second.
    pub fn take_changes(&mut self) -> Option<Vec<String>> {
        let is_recent = self.updated_at.is_some_and(|at| at.elapsed() < UPDATE_INTERVAL);
        if !self.has_changed || self.members.len() > LARGE_ROOM && is_recent {
            return None;
        }
        self.has_changed = false;
        self.updated_at = Some(Instant::now());
        let mut members: Vec<&SeenMember> = self.members.values().collect();
        members.sort_unstable_by_key(|member| Reverse(member.rank));
        Some(members.into_iter().map(|member| member.name.clone()).collect())
    }

    fn add(&mut self, name: &str, own_name: &str) {
        if name != own_name && self.members.get(&case_fold(name)).is_none_or(|m| m.name != name) {
            self.change_count += 1;
            self.insert(name, -self.change_count);
        }
    }

    fn insert(&mut self, name: &str, rank: i64) {
        let key = case_fold(name);
        if self.members.len() < MAX_NAMES || self.members.contains_key(&key) {
            self.members.insert(key, SeenMember { name: name.to_owned(), rank });
            self.has_changed = true;
        }
    }

    fn remove(&mut self, name: &str) {
        self.has_changed |= self.members.remove(&case_fold(name)).is_some();
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    fn update(members: &mut MemberNames, source: &str, body: Body<'_>) {
        members.update(&Frame { data_source: source.into(), data: "".into(), body }, "me");
    }

    #[test]
    fn latest_speaker_is_first() {
        let mut members = MemberNames::default();
        let names = ["alice", "bob", "carol", "me"].map(Into::into).to_vec();
        update(
            &mut members,
            "server",
            Body::Who { names, more: None, quiet: Vec::new(), id: None },
        );
        assert_eq!(members.take_changes().unwrap(), ["alice", "bob", "carol"]);
        assert_eq!(members.take_changes(), None);
        update(&mut members, "carol", Body::Chat { seq: 1, time: 0, id: None });
        update(&mut members, "carol", Body::Chat { seq: 2, time: 0, id: None });
        update(&mut members, "me", Body::Chat { seq: 3, time: 0, id: None });
        let (from, to) = ("bob".into(), "dave".into());
        update(&mut members, "server", Body::Name { seq: 4, time: 0, from, to, id: None });
        let names = vec!["alice".into()];
        update(&mut members, "server", Body::Leave { seq: 5, time: 0, names });
        assert_eq!(members.take_changes().unwrap(), ["carol", "dave"]);
    }

    #[test]
    fn ten_thousand_names_are_handled_in_linear_time() {
        let mut members = MemberNames::default();
        let names: Vec<Cow<'_, str>> = (0..10_000).map(|n| format!("member-{n}").into()).collect();
        // If each name were compared with each other, these would take a minute.
        for seq in 0..20 {
            let (joined, left) = (names.clone(), names.clone());
            update(&mut members, "server", Body::Join { seq, time: 0, names: joined });
            update(&mut members, "server", Body::Leave { seq, time: 0, names: left });
        }
        update(
            &mut members,
            "server",
            Body::Who { names, more: None, quiet: Vec::new(), id: None },
        );
        for seq in 0..10_000 {
            let speaker = format!("member-{}", seq % 100);
            update(&mut members, &speaker, Body::Chat { seq, time: 0, id: None });
            members.take_changes();
        }
        members.updated_at = None;
        members.has_changed = true;
        let names = members.take_changes().unwrap();
        assert_eq!((names.len(), &*names[0], &*names[100]), (10_000, "member-99", "member-100"));
    }
}
