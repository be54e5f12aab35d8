//! Who has which name.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher};

use super::MemberId;
use crate::protocol::case_fold;

/// Members by name, without regard to case.
///
/// The names themselves are in the table of members; here each is a keyed hash of 64 bits, which
/// saves a copy of every name. Two names with one hash, which nobody can bring about and which
/// chance brings about once in billions of rooms, are taken for the same name: whoever comes
/// second gets another. Who looks a member up to send it something compares the name itself.
#[derive(Debug, Default)]
pub struct Names {
    members: HashMap<u64, MemberId, BuildHasherDefault<Hashed>>,
    keys: RandomState,
}

/// A hash of what is a keyed hash already.
#[derive(Debug, Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn write(&mut self, bytes: &[u8]) {
        // Nothing but hashes comes here, each by the way above.
        debug_assert!(bytes.is_empty());
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Names {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Who has a name.
    pub fn get(&self, name: &str) -> Option<MemberId> {
        self.members.get(&self.hash(name)).copied()
    }

    /// Gives a name to a member.
    pub fn insert(&mut self, name: &str, id: MemberId) {
        self.members.insert(self.hash(name), id);
    }

    /// Makes a name free.
    pub fn remove(&mut self, name: &str) {
        self.members.remove(&self.hash(name));
        if self.members.len() < self.members.capacity() / 4 {
            self.members.shrink_to(self.members.len() * 2);
        }
    }

    /// Makes all names free.
    pub fn clear(&mut self) {
        self.members.clear();
    }

    fn hash(&self, name: &str) -> u64 {
        self.keys.hash_one(case_fold(name))
    }
}
