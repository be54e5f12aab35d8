//! The names of the members, for the completion.

use crate::protocol::{Body, Frame, case_fold};

/// The names of the members, the latest speaker first.
#[derive(Debug, Default)]
pub struct MemberNames {
    names: Vec<String>,
    has_changed: bool,
}

impl MemberNames {
    /// Updates the names from a frame. `own_name` is not one of them.
    pub fn update(&mut self, frame: &Frame<'_>, own_name: &str) {
        match &frame.body {
            Body::Who { names, more, .. } => {
                // Members that are still there keep their order.
                self.names.retain(|known| more.is_some() || names.iter().any(|name| name == known));
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
                if self.names.first().is_some_and(|first| first == name) || name == own_name {
                    return;
                }
                self.remove(name);
                self.names.insert(0, name.to_string());
                self.has_changed = true;
            }
            Body::Welcome { .. } => {
                self.names.clear();
                self.has_changed = true;
            }
            _ => {}
        }
    }

    /// Returns whether there is a member with this name, in any case.
    pub fn contains(&self, name: &str) -> bool {
        self.names.iter().any(|known| case_fold(known) == case_fold(name))
    }

    /// Returns the names if they have changed since the last call.
    pub fn take_changes(&mut self) -> Option<Vec<String>> {
        std::mem::take(&mut self.has_changed).then(|| self.names.clone())
    }

    fn add(&mut self, name: &str, own_name: &str) {
        if name != own_name && !self.names.iter().any(|known| known == name) {
            self.names.push(name.to_owned());
            self.has_changed = true;
        }
    }

    fn remove(&mut self, name: &str) {
        let before = self.names.len();
        self.names.retain(|known| case_fold(known) != case_fold(name));
        self.has_changed |= self.names.len() != before;
    }
}

#[cfg(test)]
mod tests {
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
}
