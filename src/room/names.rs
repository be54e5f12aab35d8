//! The index of members by name, and names with a number.

use std::collections::HashMap;
use std::collections::hash_map::{DefaultHasher, RandomState};
use std::hash::{BuildHasher, Hasher};
use std::net::IpAddr;

use super::admission::Origin;
use super::{ClientId, Credential};
use crate::protocol::{MAX_NAME, case_fold};

/// The largest number that is searched after a taken name. Larger ones are made from a credential.
const MAX_SHORT_NUMBER: u64 = 99;
/// The digits of the numbers that are made from a credential, after a leading 1.
const CREDENTIAL_DIGITS: std::ops::RangeInclusive<u32> = 5..=14;
/// The numbers after all others, which are never needed with random credentials.
const LAST_NUMBERS: std::ops::RangeFrom<u64> = 1_000_000_000_000_000..;

/// A keyed hash of a case-folded name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NameKey(u64);

/// A keyed hash of an [`Origin`], and whether it is a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "cluster", derive(serde::Serialize, serde::Deserialize))]
pub struct OriginKey(u32);

impl OriginKey {
    /// The bit of a network.
    const NETWORK: u32 = 1 << 31;

    /// Returns whether the limits on one address apply.
    pub fn is_network(self) -> bool {
        self.0 & Self::NETWORK != 0
    }
}

/// The secret key of the hashes of a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "cluster", derive(serde::Serialize, serde::Deserialize))]
pub struct HashKey(pub u64, pub u64);

impl HashKey {
    /// Returns the hash of bytes.
    pub fn hash(self, bytes: &[u8]) -> u64 {
        let mut hasher = DefaultHasher::new();
        // As bytes, so that machines of any kind have the same hash.
        hasher.write(&self.0.to_le_bytes());
        hasher.write(&self.1.to_le_bytes());
        hasher.write(bytes);
        hasher.finish()
    }

    /// Returns the key of the address by which a client is counted.
    pub fn origin_key(self, origin: Origin) -> OriginKey {
        let number = match origin {
            Origin::Network(IpAddr::V4(ip)) => ip.to_ipv6_mapped().to_bits(),
            Origin::Network(IpAddr::V6(ip)) => ip.to_bits(),
            Origin::User(user) => user.into(),
            Origin::Proxy => u128::MAX,
        };
        let hash = self.hash(&number.to_le_bytes()) as u32;
        match origin.is_network() {
            true => OriginKey(hash | OriginKey::NETWORK),
            false => OriginKey(hash & !OriginKey::NETWORK),
        }
    }
}

impl Default for HashKey {
    /// Creates a random key.
    fn default() -> Self {
        let random = RandomState::new();
        HashKey(random.hash_one(0), random.hash_one(1))
    }
}

/// An index of members by case-folded name.
///
/// The table of clients holds the names themselves; the index holds a keyed 64-bit hash of each,
/// which saves one copy of every name. Two names with the same hash count as the same name: the
/// second member gets another one. A client cannot cause that, because the key is random. Before
/// something is sent to a member by name, the name itself is compared.
#[derive(Debug, Default)]
pub struct NameIndex {
    members: HashMap<NameKey, ClientId>,
    hash_key: HashKey,
}

impl NameIndex {
    /// Creates an empty index.
    pub fn new(hash_key: HashKey) -> Self {
        NameIndex { members: HashMap::new(), hash_key }
    }

    /// Returns the number of names.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Returns the member with a name.
    pub fn get(&self, name: &str) -> Option<ClientId> {
        self.get_key(self.key(name))
    }

    /// Returns the member with the name of a key.
    pub fn get_key(&self, key: NameKey) -> Option<ClientId> {
        self.members.get(&key).copied()
    }

    /// Gives a name to a member.
    pub fn insert(&mut self, name: &str, id: ClientId) {
        self.members.insert(self.key(name), id);
    }

    /// Removes a name, and returns unused memory.
    pub fn remove(&mut self, name: &str) {
        self.members.remove(&self.key(name));
        if self.members.len() < self.members.capacity() / 4 {
            self.members.shrink_to(self.members.len() * 2);
        }
    }

    pub fn clear(&mut self) {
        self.members.clear();
    }

    /// Returns the key of a name.
    pub fn key(&self, name: &str) -> NameKey {
        NameKey(self.hash_key.hash(case_fold(name).as_bytes()))
    }
}

/// Returns `name` with a number that makes it free, such as `alice-2`, after at most 18 calls of
/// `is_free`.
///
/// Up to [`MAX_SHORT_NUMBER`], a bisection finds a free number after a taken one. If it finds none,
/// the digits come from the credential of the client. Other clients do not know it and cannot
/// take these numbers before; more than 100 of its 128 bits stay secret.
pub fn find_free_number(
    name: &str,
    credential: Credential,
    mut is_free: impl FnMut(&str) -> bool,
) -> String {
    let with_number = |number: u64| {
        let number = format!("-{number}");
        let stem: String = name.chars().take(MAX_NAME - number.len()).collect();
        stem + &number
    };
    let (mut taken, mut free) = (1, MAX_SHORT_NUMBER + 1);
    let mut next = 2;
    while taken + 1 < free {
        if is_free(&with_number(next)) {
            free = next
        } else {
            taken = next
        }
        next = taken.midpoint(free);
    }
    if free <= MAX_SHORT_NUMBER {
        return with_number(free);
    }
    let bits = u128::from_be_bytes(credential.0);
    let secret = bits as u64 ^ (bits >> 64) as u64;
    let numbers = CREDENTIAL_DIGITS.map(|digits| {
        let base = 10_u64.pow(digits);
        base + secret % base
    });
    // There are more numbers than members, so one is always found.
    numbers.chain(LAST_NUMBERS).map(with_number).find(|name| is_free(name)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const CREDENTIAL: Credential = Credential(*b"0123456789abcdef");

    /// Returns the free number, and the number of names that were looked up.
    fn find(taken: &HashSet<String>, name: &str, credential: Credential) -> (String, usize) {
        let mut lookups = 0;
        let name = find_free_number(name, credential, |name| {
            lookups += 1;
            !taken.contains(name)
        });
        (name, lookups)
    }

    #[test]
    fn numbers_count_up_to_99() {
        let mut taken = HashSet::new();
        for number in 2..=99 {
            let (name, lookups) = find(&taken, "alice", CREDENTIAL);
            assert_eq!(name, format!("alice-{number}"));
            assert!(lookups <= 8, "{lookups} lookups");
            taken.insert(name);
        }
    }

    #[test]
    fn squatted_numbers_cost_a_few_lookups() {
        let squat = |numbers: &mut dyn Iterator<Item = u64>| {
            numbers.map(|number| format!("alice-{number}")).collect::<HashSet<_>>()
        };
        let probes = [2, 50, 51, 75, 87, 93, 96, 98, 99];
        for taken in [
            squat(&mut (2..=1000)),
            squat(&mut (2..=100_000)),
            squat(&mut probes.into_iter().chain(1000..2000)),
        ] {
            for client in 0..200_u8 {
                let credential = Credential([client; 16].map(|byte| byte.wrapping_mul(167)));
                let (name, lookups) = find(&taken, "alice", credential);
                assert!(!taken.contains(&name));
                assert!(lookups <= 10, "{lookups} lookups");
            }
        }
    }

    #[test]
    fn free_number_is_found_in_any_case() {
        let mut lookups = 0;
        let name = find_free_number(&"x".repeat(MAX_NAME), CREDENTIAL, |name| {
            assert_eq!(name.chars().count(), MAX_NAME);
            lookups += 1;
            lookups == 1000
        });
        assert!(name.ends_with("x-1000000000000981"), "{name}");
    }
}
