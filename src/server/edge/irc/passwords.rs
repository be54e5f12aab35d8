//! The names that IRC clients keep with a password.
//!
//! The password of a client is remembered, as a hash, with the token of its last welcome. A client
//! that connects again with the same name and password takes over its old connection, or gets its
//! reserved name back, as a client that keeps its token does.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use crate::protocol::case_fold;
use crate::room::{ClientId, Origin, Token};

/// The most passwords of one address.
const MAX_PER_ORIGIN: usize = 64;
/// The most bytes for one password, in a queue that grows by doubling.
pub const PASSWORD_BYTES: usize = 2 * size_of::<Entry>();

/// A bounded table of passwords. If it is full, the oldest of the same address is removed, or else
/// the oldest of all.
#[derive(Debug)]
pub struct Passwords {
    entries: Vec<Entry>,
    hasher: RandomState,
    max: usize,
}

#[derive(Debug)]
struct Entry {
    /// The hash of the name and the password.
    key: u64,
    token: Token,
    origin: Origin,
    /// The connection whose welcome had the token.
    id: ClientId,
}

impl Passwords {
    /// Creates an empty table for at most `max` passwords.
    pub fn new(max: usize) -> Self {
        Passwords { entries: Vec::new(), hasher: RandomState::new(), max }
    }

    fn key(&self, name: &str, password: &str) -> u64 {
        self.hasher.hash_one((case_fold(name), password))
    }

    /// Returns the token for a name and a password.
    pub fn get(&self, name: &str, password: &str) -> Option<Token> {
        let key = self.key(name, password);
        self.entries.iter().find(|entry| entry.key == key).map(|entry| entry.token)
    }

    /// Remembers the password of a client, in place of an earlier one of the same client.
    pub fn insert(
        &mut self,
        id: ClientId,
        origin: Origin,
        (name, password): (&str, &str),
        token: Token,
    ) {
        let key = self.key(name, password);
        self.entries.retain(|entry| entry.id != id && entry.key != key);
        let own = self.entries.iter().filter(|entry| entry.origin == origin).count();
        let is_full = self.entries.len() >= self.max;
        if own >= MAX_PER_ORIGIN || is_full && own > 0 {
            if let Some(at) = self.entries.iter().position(|entry| entry.origin == origin) {
                self.entries.remove(at);
            }
        } else if is_full && !self.entries.is_empty() {
            self.entries.remove(0);
        }
        if self.entries.len() < self.max {
            self.entries.push(Entry { key, token, origin, id });
        }
    }

    /// Removes the passwords whose tokens are of no member any more.
    pub fn retain(&mut self, is_known: impl Fn(&Token) -> bool) {
        self.entries.retain(|entry| is_known(&entry.token));
        self.entries.shrink_to(2 * self.entries.len());
    }

    /// Returns whether the table is full.
    pub fn is_full(&self) -> bool {
        self.entries.len() >= self.max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(byte: u8) -> Token {
        Token([byte; 16])
    }

    #[test]
    fn token_needs_name_and_password() {
        let mut passwords = Passwords::new(4);
        let (alice, one) = (("alice", "secret"), Origin::User(1));
        passwords.insert(ClientId(1), one, alice, token(1));
        assert!(passwords.get("ALICE", "secret").unwrap().matches(&token(1)));
        assert!(passwords.get("alice", "Secret").is_none());
        assert!(passwords.get("alic", "esecret").is_none());
        passwords.insert(ClientId(2), one, alice, token(2));
        assert!(passwords.get("alice", "secret").unwrap().matches(&token(2)));
        assert_eq!(passwords.entries.len(), 1);
        // The client has another name.
        passwords.insert(ClientId(2), one, ("bob", "secret"), token(2));
        assert!(passwords.get("alice", "secret").is_none());
        passwords.retain(|_| false);
        assert!(passwords.get("bob", "secret").is_none());
    }

    #[test]
    fn address_loses_its_own_password_first() {
        let mut passwords = Passwords::new(100);
        passwords.insert(ClientId(1), Origin::User(1), ("alice", "a"), token(1));
        for number in 0..200_u64 {
            let name = format!("name-{number}");
            passwords.insert(ClientId(2 + number), Origin::User(2), (&name, "a"), token(2));
        }
        assert!(passwords.get("alice", "a").is_some());
        assert!(passwords.get("name-199", "a").is_some());
        assert_eq!(passwords.entries.len(), 1 + MAX_PER_ORIGIN);
    }
}
