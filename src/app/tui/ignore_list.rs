//! The members whose lines are hidden.

use crate::protocol::case_fold;

/// The ignored members. Upper and lower case are the same.
#[derive(Debug, Default)]
pub struct IgnoreList {
    members: Vec<IgnoredMember>,
}

#[derive(Debug)]
struct IgnoredMember {
    /// The name that was ignored, which stays ignored if the member changes it.
    name: String,
    /// The present name, if the member has changed it.
    later_name: Option<String>,
}

impl IgnoredMember {
    /// Returns whether a case-folded name is one of this member.
    fn has_name(&self, folded: &str) -> bool {
        [Some(&self.name), self.later_name.as_ref()]
            .into_iter()
            .flatten()
            .any(|name| case_fold(name) == folded)
    }
}

impl IgnoreList {
    /// Creates a list of these names.
    pub fn new(names: Vec<String>) -> Self {
        let mut list = IgnoreList::default();
        for name in names {
            list.add(&name);
        }
        list
    }

    /// Returns whether the member with this name is ignored.
    pub fn contains(&self, name: &str) -> bool {
        // Called for each frame.
        if self.members.is_empty() {
            return false;
        }
        let folded = case_fold(name);
        self.members.iter().any(|member| member.has_name(&folded))
    }

    /// Adds a member. Returns false if it is ignored already.
    pub fn add(&mut self, name: &str) -> bool {
        let is_new = !self.contains(name);
        if is_new {
            self.members.push(IgnoredMember { name: name.into(), later_name: None });
        }
        is_new
    }

    /// Removes the member with this name and returns the names that were ignored.
    pub fn remove(&mut self, name: &str) -> Vec<String> {
        let folded = case_fold(name);
        let removed = self.members.extract_if(.., |member| member.has_name(&folded));
        removed.map(|member| member.name).collect()
    }

    /// Records that a member has changed its name.
    pub fn rename(&mut self, from: &str, to: &str) {
        if self.members.is_empty() {
            return;
        }
        let folded = case_fold(from);
        for member in self.members.iter_mut().filter(|member| member.has_name(&folded)) {
            let is_first_name = case_fold(&member.name) == case_fold(to);
            member.later_name = (!is_first_name).then(|| to.to_owned());
        }
    }

    /// Returns the names as `bob, carol (now dave)`, or `None` if there are none.
    pub fn describe(&self) -> Option<String> {
        let names = self.members.iter().map(|member| match &member.later_name {
            Some(later) => format!("{} (now {later})", member.name),
            None => member.name.clone(),
        });
        Some(names.collect::<Vec<_>>().join(", ")).filter(|names| !names.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_ignored_in_any_case() {
        let mut list = IgnoreList::new(vec!["Bob".into(), "BOB".into()]);
        assert!(list.contains("bob") && !list.contains("bobby"));
        assert!(!list.add("bOB") && list.add("carol"));
        assert_eq!(list.describe().unwrap(), "Bob, carol");
        assert_eq!(list.remove("BOB"), ["Bob"]);
        assert_eq!(list.remove("BOB"), [""; 0]);
        assert!(!list.contains("Bob"));
    }

    #[test]
    fn ignored_member_stays_ignored_under_each_name() {
        let mut list = IgnoreList::new(vec!["bob".into()]);
        list.rename("alice", "alicia");
        list.rename("Bob", "carol");
        assert_eq!(list.describe().unwrap(), "bob (now carol)");
        assert!(list.contains("bob") && list.contains("carol") && !list.contains("alicia"));
        list.rename("carol", "dave");
        assert!(list.contains("dave") && !list.contains("carol"));
        list.rename("dave", "BOB");
        assert_eq!(list.describe().unwrap(), "bob");
        list.rename("bob", "erin");
        assert_eq!(list.remove("erin"), ["bob"]);
        assert_eq!(list.describe(), None);
    }
}
