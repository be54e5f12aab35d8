//! Names that are reserved for members that lost their connection.

use std::time::Duration;

use super::Credential;
use super::names::{NameKey, OriginKey};
use crate::protocol::MAX_NAME;

/// The most reserved names in a room of any size.
const MAX_RESERVED: usize = 1000;

/// The most bytes for one reserved name: its text, and two places in queues that grow by doubling.
pub const RESERVED_NAME_BYTES: usize =
    4 * MAX_NAME + 2 * size_of::<(NameKey, Duration, ReservedName, usize)>();

/// Returns the most reserved names in a room for `max_clients`.
pub fn max_reserved(max_clients: usize) -> usize {
    max_clients.min(MAX_RESERVED)
}

/// A bounded queue of reserved names, the oldest first.
///
/// An origin that reserves too many names loses its own oldest one. If the queue is full, an origin
/// that has none replaces the oldest name of the origin that has the most. If no origin has two, the
/// new name is not reserved.
#[derive(Debug)]
pub struct ReservedNames {
    names: Vec<RankedName>,
    /// The keys of the names, in the same order. They are searched for each requested name. Apart
    /// from the names, they take a small part of a cache.
    keys: Vec<NameKey>,
    max: usize,
    /// The most names of one network; 0 = no limit.
    max_per_network: usize,
}

#[derive(Debug)]
struct RankedName {
    held: ReservedName,
    /// The number of the name among those of its origin, the oldest of which has the number 1.
    rank: usize,
}

/// A name that is reserved.
#[derive(Debug)]
#[cfg_attr(feature = "cluster", derive(Clone, PartialEq, serde::Serialize, serde::Deserialize))]
pub struct ReservedName {
    pub name: Box<str>,
    /// The credential that takes the name back.
    pub credential: Credential,
    /// The origin of the member that lost its connection.
    pub origin: OriginKey,
    pub until: Duration,
    /// The member was an operator.
    pub is_operator: bool,
}

impl ReservedNames {
    /// Creates an empty queue for at most `max` names, and `max_per_network` of one network (0 = no
    /// limit).
    pub fn new(max: usize, max_per_network: usize) -> Self {
        ReservedNames { names: Vec::new(), keys: Vec::new(), max, max_per_network }
    }

    /// Sets the limits of [`new`](Self::new). Names beyond them stay until their time is over.
    #[cfg(feature = "cluster")]
    pub fn set_limits(&mut self, max: usize, max_per_network: usize) {
        (self.max, self.max_per_network) = (max, max_per_network);
    }

    /// Reserves a name, if there is a place for it. It is not reserved for a shorter time than any
    /// other name in the queue.
    pub fn reserve(&mut self, key: NameKey, new: ReservedName, now: Duration) {
        // The oldest expire first.
        while self.names.first().is_some_and(|entry| entry.held.until <= now) {
            self.remove(0);
        }
        let mut own = self.names.iter().filter(|entry| entry.held.origin == new.origin).count();
        let has_too_many =
            new.origin.is_network() && self.max_per_network > 0 && own >= self.max_per_network;
        let is_full = self.names.len() >= self.max;
        if has_too_many || (is_full && own > 0) {
            self.remove_oldest(new.origin);
            own -= 1;
        } else if is_full
            && let Some(newest) = self.names.iter().max_by_key(|entry| entry.rank)
            && newest.rank > 1
        {
            self.remove_oldest(newest.held.origin);
        }
        if self.names.len() < self.max {
            self.keys.push(key);
            self.names.push(RankedName { held: new, rank: own + 1 });
        }
    }

    /// Returns the names, the oldest first.
    #[cfg(feature = "cluster")]
    pub fn iter(&self) -> impl Iterator<Item = &ReservedName> {
        self.names.iter().map(|entry| &entry.held)
    }

    /// Adds a name of a queue with the same limits, behind all others.
    #[cfg(feature = "cluster")]
    pub fn restore(&mut self, key: NameKey, held: ReservedName) {
        let own = self.iter().filter(|other| other.origin == held.origin).count();
        self.keys.push(key);
        self.names.push(RankedName { held, rank: own + 1 });
    }

    /// Returns whether the name with a key is reserved.
    pub fn contains(&self, key: NameKey, now: Duration) -> bool {
        let at = self.keys.iter().position(|held| *held == key);
        at.and_then(|at| self.names.get(at)).is_some_and(|entry| entry.held.until > now)
    }

    /// Returns whether a name is reserved for a credential.
    pub fn has_credential(&self, credential: &Credential, now: Duration) -> bool {
        let matches = |entry: &RankedName| {
            entry.held.credential.matches(credential) && entry.held.until > now
        };
        self.names.iter().fold(false, |found, entry| found | matches(entry))
    }

    /// Returns whether a name of an operator of an origin is reserved.
    pub fn has_operator(&self, origin: OriginKey, now: Duration) -> bool {
        let mut held = self.names.iter().map(|entry| &entry.held);
        held.any(|held| held.is_operator && held.origin == origin && held.until > now)
    }

    /// Returns whether a name of an operator is reserved for a credential.
    pub fn is_operator(&self, credential: &Credential, now: Duration) -> bool {
        let matches = |held: &ReservedName| {
            held.credential.matches(credential) && held.is_operator && held.until > now
        };
        self.names.iter().fold(false, |found, entry| found | matches(&entry.held))
    }

    /// Makes the names of operators those of ordinary members.
    pub fn forget_operators(&mut self) {
        self.names.iter_mut().for_each(|entry| entry.held.is_operator = false);
    }

    /// Removes and returns the name that is reserved for a credential.
    pub fn take(&mut self, credential: &Credential, now: Duration) -> Option<Box<str>> {
        // All credentials are compared, so that the time taken does not depend on the position.
        let mut found = None;
        for (at, RankedName { held, .. }) in self.names.iter().enumerate() {
            if held.credential.matches(credential) && held.until > now {
                found = Some(at);
            }
        }
        Some(self.remove(found?).name)
    }

    /// Frees the name with a key, and returns whether it was reserved.
    pub fn remove_key(&mut self, key: NameKey, now: Duration) -> bool {
        let at = self.keys.iter().position(|held| *held == key);
        at.map(|at| self.remove(at)).is_some_and(|held| held.until > now)
    }

    fn remove_oldest(&mut self, origin: OriginKey) {
        if let Some(at) = self.names.iter().position(|entry| entry.held.origin == origin) {
            self.remove(at);
        }
    }

    fn remove(&mut self, at: usize) -> ReservedName {
        self.keys.remove(at);
        let RankedName { held, .. } = self.names.remove(at);
        for later in self.names.iter_mut().skip(at) {
            later.rank -= usize::from(later.held.origin == held.origin);
        }
        held
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::room::admission::Origin;
    use crate::room::names::{HashKey, NameIndex};

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
            Names { index: NameIndex::new(HashKey(1, 2)), reserved }
        }

        fn reserve(&mut self, name: &str, credential: u8, host: u32) {
            let (key, credential) = (self.index.key(name), Credential([credential; 16]));
            let origin = HashKey(1, 2).origin_key(Origin::Network(host.to_be_bytes().into()));
            let name = name.into();
            let new = ReservedName { name, credential, origin, until: LATER, is_operator: false };
            self.reserved.reserve(key, new, NOW);
            assert!(self.reserved.names.len() <= self.reserved.max);
            assert_eq!(self.reserved.names.len(), self.reserved.keys.len());
        }

        fn contains(&self, name: &str) -> bool {
            self.reserved.contains(self.index.key(name), NOW)
        }
    }

    #[test]
    fn reserved_name_needs_its_credential() {
        let mut names = Names::new(MAX_RESERVED, 64);
        names.reserve("alice", 1, 1);
        assert!(names.contains("ALICE"));
        assert_eq!(names.reserved.take(&Credential([2; 16]), NOW), None);
        assert_eq!(names.reserved.take(&Credential([1; 16]), NOW).as_deref(), Some("alice"));
        assert!(!names.contains("alice"));
        names.reserve("bob", 3, 1);
        assert!(!names.reserved.contains(names.index.key("bob"), LATER));
        assert_eq!(names.reserved.take(&Credential([3; 16]), LATER), None);
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
