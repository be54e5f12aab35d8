//! The index of members by name.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use super::ClientId;
use crate::protocol::case_fold;

/// An index of members by case-folded name.
///
/// The table of clients holds the names themselves; the index holds a keyed 64-bit hash of each,
/// which saves one copy of every name. Two names with the same hash count as the same name: the
/// second member gets another one. A client cannot cause that, because the key is random. Before
/// something is sent to a member by name, the name itself is compared.
#[derive(Debug, Default)]
pub struct NameIndex {
    members: HashMap<u64, ClientId>,
    keys: RandomState,
}

impl NameIndex {
    /// Returns the number of names.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Returns the member with a name.
    pub fn get(&self, name: &str) -> Option<ClientId> {
        self.members.get(&self.hash(name)).copied()
    }

    /// Gives a name to a member.
    pub fn insert(&mut self, name: &str, id: ClientId) {
        self.members.insert(self.hash(name), id);
    }

    /// Removes a name, and returns unused memory.
    pub fn remove(&mut self, name: &str) {
        self.members.remove(&self.hash(name));
        if self.members.len() < self.members.capacity() / 4 {
            self.members.shrink_to(self.members.len() * 2);
        }
    }

    pub fn clear(&mut self) {
        self.members.clear();
    }

    fn hash(&self, name: &str) -> u64 {
        self.keys.hash_one(case_fold(name))
    }
}
