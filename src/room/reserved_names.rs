//! Names that are reserved for members that lost their connection.

use std::collections::VecDeque;
use std::time::Duration;

use super::Token;
use crate::protocol::{MAX_NAME, case_fold};

/// The most reserved names in a room of any size.
const MAX_RESERVED: usize = 1000;

/// The most bytes for one reserved name: its text, twice, in a queue that grows by doubling.
pub const RESERVED_NAME_BYTES: usize = 2 * (4 * MAX_NAME + size_of::<ReservedName>());

/// Returns the most reserved names in a room for `max_clients`.
pub fn max_reserved(max_clients: usize) -> usize {
    max_clients.min(MAX_RESERVED)
}

/// A bounded queue of reserved names, the oldest first. If it is full, the oldest is dropped.
#[derive(Debug)]
pub struct ReservedNames {
    names: VecDeque<ReservedName>,
    max: usize,
}

#[derive(Debug)]
struct ReservedName {
    name: Box<str>,
    case_folded: String,
    /// The token that takes the name back.
    token: Token,
    until: Duration,
}

impl ReservedNames {
    /// Creates an empty queue for at most `max` names.
    pub fn new(max: usize) -> Self {
        ReservedNames { names: VecDeque::new(), max }
    }

    /// Reserves a name. `until` is not before that of any other name in the queue.
    pub fn reserve(&mut self, name: Box<str>, token: Token, until: Duration) {
        if self.names.len() >= self.max {
            self.names.pop_front();
        }
        self.names.push_back(ReservedName { case_folded: case_fold(&name), name, token, until });
    }

    /// Returns whether a name is reserved.
    pub fn contains(&self, name: &str, now: Duration) -> bool {
        let case_folded = case_fold(name);
        self.names.iter().any(|held| held.until > now && held.case_folded == case_folded)
    }

    /// Removes and returns the name that is reserved for a token.
    pub fn take(&mut self, token: &Token, now: Duration) -> Option<Box<str>> {
        while self.names.pop_front_if(|held| held.until <= now).is_some() {}
        // All tokens are compared, so that the time taken does not depend on the position.
        let matching = |(at, held): (usize, &ReservedName)| held.token.matches(token).then_some(at);
        let at =
            self.names.iter().enumerate().fold(None, |found, held| matching(held).or(found))?;
        self.names.remove(at).map(|held| held.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(100);
    const LATER: Duration = Duration::from_secs(160);

    #[test]
    fn reserved_name_needs_its_token_and_expires() {
        let mut names = ReservedNames::new(MAX_RESERVED);
        names.reserve("alice".into(), Token([1; 16]), LATER);
        assert!(names.contains("ALICE", NOW));
        assert_eq!(names.take(&Token([2; 16]), NOW), None);
        assert_eq!(names.take(&Token([1; 16]), NOW).as_deref(), Some("alice"));
        assert!(!names.contains("alice", NOW));
        names.reserve("bob".into(), Token([3; 16]), LATER);
        assert!(!names.contains("bob", LATER));
        assert_eq!(names.take(&Token([3; 16]), LATER), None);
    }

    #[test]
    fn number_of_reserved_names_is_bounded() {
        let mut names = ReservedNames::new(MAX_RESERVED);
        for number in 0..MAX_RESERVED + 5 {
            names.reserve(format!("name-{number}").into(), Token([0; 16]), LATER);
        }
        assert_eq!(names.names.len(), MAX_RESERVED);
        assert!(!names.contains("name-4", NOW) && names.contains("name-5", NOW));
    }
}
