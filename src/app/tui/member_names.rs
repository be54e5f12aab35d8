//! Who is here, as far as it was seen, for the names that Tab completes.

use crate::protocol::{Body, Frame, case_fold};

/// The members, whoever spoke last first.
#[derive(Debug, Default)]
pub struct MemberNames {
    names: Vec<String>,
    has_changed: bool,
}

impl MemberNames {
    /// Learns from a frame that came to the member called `me`.
    pub fn update(&mut self, frame: &Frame<'_>, me: &str) {
        match &frame.body {
            Body::Who { names, more, .. } => {
                // Those who spoke keep their places.
                self.names.retain(|known| more.is_some() || names.iter().any(|name| name == known));
                for name in names {
                    self.add(name, me);
                }
            }
            Body::Join { names, .. } => names.iter().for_each(|name| self.add(name, me)),
            Body::Leave { names, .. } => names.iter().for_each(|name| self.remove(name)),
            Body::Name { from, to, .. } => {
                self.remove(from);
                self.add(to, me);
            }
            Body::Chat { .. } | Body::Action { .. } | Body::Private { .. } => {
                let name = &frame.data_source;
                if self.names.first().is_some_and(|first| first == name) || name == me {
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

    /// The names, if they are not what they were when this was asked last.
    pub fn take_changes(&mut self) -> Option<Vec<String>> {
        std::mem::take(&mut self.has_changed).then(|| self.names.clone())
    }

    fn add(&mut self, name: &str, me: &str) {
        if name != me && !self.names.iter().any(|known| known == name) {
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

    fn learn(members: &mut MemberNames, source: &str, body: Body<'_>) {
        members.update(&Frame { data_source: source.into(), data: "".into(), body }, "me");
    }

    #[test]
    fn whoever_spoke_last_is_first_and_who_left_is_gone() {
        let mut members = MemberNames::default();
        let names = ["alice", "bob", "carol", "me"].map(Into::into).to_vec();
        learn(&mut members, "server", Body::Who { names, more: None, id: None });
        assert_eq!(members.take_changes().unwrap(), ["alice", "bob", "carol"]);
        assert_eq!(members.take_changes(), None);
        learn(&mut members, "carol", Body::Chat { seq: 1, time: 0, id: None });
        learn(&mut members, "carol", Body::Chat { seq: 2, time: 0, id: None });
        learn(&mut members, "me", Body::Chat { seq: 3, time: 0, id: None });
        let (from, to) = ("bob".into(), "dave".into());
        learn(&mut members, "server", Body::Name { seq: 4, time: 0, from, to, id: None });
        let names = vec!["alice".into()];
        learn(&mut members, "server", Body::Leave { seq: 5, time: 0, names });
        assert_eq!(members.take_changes().unwrap(), ["carol", "dave"]);
    }
}
