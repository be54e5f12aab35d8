//! Names that are reserved for members that lost their connection.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::Token;
use super::admission::Origin;
use super::names::NameKey;
use crate::protocol::MAX_NAME;

/// The most reserved names in a room of any size.
const MAX_RESERVED: usize = 1000;

/// The most bytes for one reserved name: its text, its place in a queue that grows by doubling, and
/// in a hash table that does.
pub const RESERVED_NAME_BYTES: usize =
    4 * MAX_NAME + 2 * size_of::<ReservedName>() + 4 * size_of::<(NameKey, Duration)>();

/// Returns the most reserved names in a room for `max_clients`.
pub fn max_reserved(max_clients: usize) -> usize {
    max_clients.min(MAX_RESERVED)
}

/// A bounded queue of reserved names, the oldest first.
///
/// An origin that reserves too many names loses its own oldest one, never that of another. Only an
/// origin that has none, when the queue is full, takes the place of another: of the oldest name of
/// the origin that has the most. If every name is of another origin, the new one is not reserved.
#[derive(Debug)]
pub struct ReservedNames {
    names: VecDeque<ReservedName>,
    /// The keys of the names, and the times until which they are reserved.
    keys: HashMap<NameKey, Duration>,
    max: usize,
    /// The most names of one network; 0 = no limit.
    max_per_network: usize,
}

/// A name that is reserved.
#[derive(Debug)]
pub struct ReservedName {
    pub name: Box<str>,
    pub key: NameKey,
    /// The token that takes the name back.
    pub token: Token,
    /// The origin of the member that lost its connection.
    pub origin: Origin,
    pub until: Duration,
}

impl ReservedNames {
    /// Creates an empty queue for at most `max` names, and `max_per_network` of one network (0 = no
    /// limit).
    pub fn new(max: usize, max_per_network: usize) -> Self {
        ReservedNames { names: VecDeque::new(), keys: HashMap::new(), max, max_per_network }
    }

    /// Reserves a name, if there is a place for it. It is not reserved for a shorter time than any
    /// other name in the queue.
    pub fn reserve(&mut self, new: ReservedName, now: Duration) {
        self.remove_expired(now);
        let own = self.names.iter().filter(|held| held.origin == new.origin).count();
        let is_full = self.names.len() >= self.max;
        let loser = match new.origin {
            Origin::Network(_) if self.max_per_network > 0 && own >= self.max_per_network => {
                Some(new.origin)
            }
            _ if is_full && own > 0 => Some(new.origin),
            _ if is_full => self.find_largest_origin(),
            _ => None,
        };
        if let Some(loser) = loser
            && let Some(oldest) = self.names.iter().position(|held| held.origin == loser)
        {
            self.remove(oldest);
        }
        if self.names.len() < self.max {
            self.keys.insert(new.key, new.until);
            self.names.push_back(new);
        }
    }

    /// Returns whether the name with a key is reserved.
    pub fn contains(&self, key: NameKey, now: Duration) -> bool {
        self.keys.get(&key).is_some_and(|until| *until > now)
    }

    /// Removes and returns the name that is reserved for a token.
    pub fn take(&mut self, token: &Token, now: Duration) -> Option<Box<str>> {
        self.remove_expired(now);
        // All tokens are compared, so that the time taken does not depend on the position.
        let matching = |(at, held): (usize, &ReservedName)| held.token.matches(token).then_some(at);
        let at =
            self.names.iter().enumerate().fold(None, |found, held| matching(held).or(found))?;
        self.remove(at)
    }

    /// Returns the origin with the most names, at least two. Of several, it is the one with the
    /// oldest name.
    fn find_largest_origin(&self) -> Option<Origin> {
        let mut counts = HashMap::new();
        for held in &self.names {
            *counts.entry(held.origin).or_insert(0) += 1;
        }
        // `max_by_key` returns the last of several.
        let origins = self.names.iter().rev().map(|held| held.origin);
        let largest = origins.max_by_key(|origin| counts.get(origin).copied())?;
        counts.get(&largest).is_some_and(|count| *count > 1).then_some(largest)
    }

    fn remove_expired(&mut self, now: Duration) {
        while self.names.front().is_some_and(|held| held.until <= now) {
            self.remove(0);
        }
    }

    fn remove(&mut self, at: usize) -> Option<Box<str>> {
        let held = self.names.remove(at)?;
        self.keys.remove(&held.key);
        Some(held.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::room::names::NameIndex;

    const NOW: Duration = Duration::from_secs(100);
    const LATER: Duration = Duration::from_secs(160);

    /// Reserved names, and the index that makes their keys.
    struct Names {
        index: NameIndex,
        reserved: ReservedNames,
    }

    impl Names {
        fn new(max: usize, max_per_network: usize) -> Self {
            let reserved = ReservedNames::new(max, max_per_network);
            Names { index: NameIndex::default(), reserved }
        }

        fn reserve(&mut self, name: &str, token: u8, host: u32) {
            let (key, token) = (self.index.key(name), Token([token; 16]));
            let origin = Origin::Network(host.to_be_bytes().into());
            let new = ReservedName { name: name.into(), key, token, origin, until: LATER };
            self.reserved.reserve(new, NOW);
            assert!(self.reserved.names.len() <= self.reserved.max);
            assert_eq!(self.reserved.names.len(), self.reserved.keys.len());
        }

        fn contains(&self, name: &str) -> bool {
            self.reserved.contains(self.index.key(name), NOW)
        }
    }

    #[test]
    fn reserved_name_needs_its_token_and_expires() {
        let mut names = Names::new(MAX_RESERVED, 64);
        names.reserve("alice", 1, 1);
        assert!(names.contains("ALICE"));
        assert_eq!(names.reserved.take(&Token([2; 16]), NOW), None);
        assert_eq!(names.reserved.take(&Token([1; 16]), NOW).as_deref(), Some("alice"));
        assert!(!names.contains("alice"));
        names.reserve("bob", 3, 1);
        assert!(!names.reserved.contains(names.index.key("bob"), LATER));
        assert_eq!(names.reserved.take(&Token([3; 16]), LATER), None);
        assert!(names.reserved.keys.is_empty());
    }

    #[test]
    fn address_loses_its_own_oldest_name_only() {
        for max_per_network in [0, 64] {
            let mut names = Names::new(MAX_RESERVED, max_per_network);
            names.reserve("alice", 1, 1);
            for number in 0..=MAX_RESERVED {
                names.reserve(&format!("name-{number}"), 2, 2);
            }
            assert!(names.contains("alice"));
            assert!(!names.contains("name-0") && names.contains("name-1000"));
            let own = names.reserved.names.len() - 1;
            assert_eq!(own, if max_per_network > 0 { 64 } else { MAX_RESERVED - 1 });
            // An address that comes later has a place, too.
            names.reserve("bob", 3, 3);
            assert!(names.contains("bob") && names.contains("alice"));
        }
    }

    #[test]
    fn full_queue_keeps_one_name_of_each_address() {
        let mut names = Names::new(4, 0);
        for (name, host) in [("a", 1), ("b", 2), ("c", 2), ("d", 3)] {
            names.reserve(name, 0, host);
        }
        names.reserve("e", 0, 4);
        assert!(!names.contains("b") && names.contains("e"));
        names.reserve("f", 0, 5);
        assert!(!names.contains("f"));
        names.reserve("g", 0, 1);
        assert!(!names.contains("a") && names.contains("g"));
        assert!(["c", "d", "e"].iter().all(|name| names.contains(name)));
    }

    #[test]
    fn room_without_places_reserves_nothing() {
        let mut names = Names::new(0, 0);
        names.reserve("alice", 1, 1);
        assert!(!names.contains("alice"));
    }
}
