//! Names that wait for their members to come back.

use std::collections::VecDeque;
use std::time::Duration;

use super::Token;
use crate::protocol::{MAX_NAME, case_fold};

/// Names kept at once in the largest rooms; the oldest goes first.
const MAX_RESERVED: usize = 1000;

/// The most that one of them takes, in bytes: its letters, twice, in a queue that grows by doubling.
pub const RESERVED_NAME_BYTES: usize = 2 * (4 * MAX_NAME + size_of::<ReservedName>());

/// Names kept at once in a room for so many clients.
pub fn max_reserved(max_clients: usize) -> usize {
    max_clients.min(MAX_RESERVED)
}

/// The names of members who dropped and had asked to keep them, each with the token that gives
/// it back and the time until which it is kept.
#[derive(Debug)]
pub struct ReservedNames {
    names: VecDeque<ReservedName>,
    max: usize,
}

#[derive(Debug)]
struct ReservedName {
    name: Box<str>,
    /// The name as it is compared.
    folded: String,
    token: Token,
    until: Duration,
}

impl ReservedNames {
    /// None are kept yet, and never more than `max`.
    pub fn new(max: usize) -> Self {
        ReservedNames { names: VecDeque::new(), max }
    }

    /// Keeps a name. `until` is never before that of the names that are kept already.
    pub fn reserve(&mut self, name: Box<str>, token: Token, until: Duration) {
        if self.names.len() >= self.max {
            self.names.pop_front();
        }
        self.names.push_back(ReservedName { folded: case_fold(&name), name, token, until });
    }

    /// Whether somebody may still come back for a name.
    pub fn holds(&self, name: &str, now: Duration) -> bool {
        let folded = case_fold(name);
        self.names.iter().any(|kept| kept.until > now && kept.folded == folded)
    }

    /// Gives the name that a token was kept with back to the one who has the token.
    pub fn take(&mut self, token: &Token, now: Duration) -> Option<Box<str>> {
        while self.names.front().is_some_and(|kept| kept.until <= now) {
            self.names.pop_front();
        }
        // All are looked at, so that the time tells nothing of where one fits.
        let fits =
            |(place, kept): (usize, &ReservedName)| kept.token.matches(token).then_some(place);
        let place = self.names.iter().enumerate().fold(None, |found, kept| fits(kept).or(found))?;
        self.names.remove(place).map(|kept| kept.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(100);
    const LATER: Duration = Duration::from_secs(160);

    #[test]
    fn a_name_is_kept_for_its_token_and_for_its_time() {
        let mut names = ReservedNames::new(MAX_RESERVED);
        names.reserve("alice".into(), Token([1; 16]), LATER);
        assert!(names.holds("ALICE", NOW));
        assert_eq!(names.take(&Token([2; 16]), NOW), None);
        assert_eq!(names.take(&Token([1; 16]), NOW).as_deref(), Some("alice"));
        assert!(!names.holds("alice", NOW));
        names.reserve("bob".into(), Token([3; 16]), LATER);
        assert!(!names.holds("bob", LATER));
        assert_eq!(names.take(&Token([3; 16]), LATER), None);
    }

    #[test]
    fn the_number_of_kept_names_is_bounded() {
        let mut names = ReservedNames::new(MAX_RESERVED);
        for number in 0..MAX_RESERVED + 5 {
            names.reserve(format!("name-{number}").into(), Token([0; 16]), LATER);
        }
        assert_eq!(names.names.len(), MAX_RESERVED);
        assert!(!names.holds("name-4", NOW) && names.holds("name-5", NOW));
    }
}
