//! The index of members by name, and names with a number.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use super::{ClientId, Token};
use crate::protocol::{MAX_NAME, case_fold};

/// The largest number that is searched after a taken name. Larger ones are made from a token.
const MAX_SHORT_NUMBER: u64 = 99;
/// The digits of the numbers that are made from a token, after a leading 1.
const TOKEN_DIGITS: std::ops::RangeInclusive<u32> = 5..=14;
/// The numbers after all others, which are never needed with random tokens.
const LAST_NUMBERS: std::ops::RangeFrom<u64> = 1_000_000_000_000_000..;

/// A keyed hash of a case-folded name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NameKey(u64);

/// An index of members by case-folded name.
///
/// The table of clients holds the names themselves; the index holds a keyed 64-bit hash of each,
/// which saves one copy of every name. Two names with the same hash count as the same name: the
/// second member gets another one. A client cannot cause that, because the key is random. Before
/// something is sent to a member by name, the name itself is compared.
#[derive(Debug, Default)]
pub struct NameIndex {
    members: HashMap<NameKey, ClientId>,
    keys: RandomState,
}

impl NameIndex {
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
        NameKey(self.keys.hash_one(case_fold(name)))
    }
}

/// Returns `name` with a number that makes it free, such as `alice-2`, after at most 18 calls of
/// `is_free`.
///
/// Up to [`MAX_SHORT_NUMBER`], a bisection finds a free number after a taken one. If it finds none,
/// the digits come from the token of the client. Other clients do not know the token and cannot
/// take these numbers before; more than 100 of its 128 bits stay secret.
pub fn find_free_number(name: &str, token: Token, mut is_free: impl FnMut(&str) -> bool) -> String {
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
    let token = u128::from_be_bytes(token.0);
    let secret = token as u64 ^ (token >> 64) as u64;
    let numbers = TOKEN_DIGITS.map(|digits| {
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

    const TOKEN: Token = Token(*b"0123456789abcdef");

    /// Returns the free number, and the number of names that were looked up.
    fn find(taken: &HashSet<String>, name: &str, token: Token) -> (String, usize) {
        let mut lookups = 0;
        let name = find_free_number(name, token, |name| {
            lookups += 1;
            !taken.contains(name)
        });
        (name, lookups)
    }

    #[test]
    fn numbers_count_up_to_99() {
        let mut taken = HashSet::new();
        for number in 2..=99 {
            let (name, lookups) = find(&taken, "alice", TOKEN);
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
                let token = Token([client; 16].map(|byte| byte.wrapping_mul(167)));
                let (name, lookups) = find(&taken, "alice", token);
                assert!(!taken.contains(&name));
                assert!(lookups <= 10, "{lookups} lookups");
            }
        }
    }

    #[test]
    fn free_number_is_found_in_any_case() {
        let mut lookups = 0;
        let name = find_free_number(&"x".repeat(MAX_NAME), TOKEN, |name| {
            assert_eq!(name.chars().count(), MAX_NAME);
            lookups += 1;
            lookups == 1000
        });
        assert!(name.ends_with("x-1000000000000981"), "{name}");
    }
}
