//! The names that IRC clients keep with a password.
//!
//! The password of a client is remembered, as a hash, with the token of its last welcome. A client
//! that connects again with the same name and password takes over its old connection, or gets its
//! reserved name back, as a client that keeps its token does.

use std::time::Duration;

use super::text::concat;
use crate::protocol::case_fold;
use crate::rate_limit::{Rate, RateLimiter};
use crate::room::{ClientId, HashKey, Origin, Token};

/// Wrong passwords at once from one address; then it is one a second.
const WRONG_AT_ONCE: u32 = 10;
/// The most addresses whose wrong passwords are counted. All others count as one.
const MAX_WRONG: usize = 64;
/// The most bytes of passwords for one connection: two passwords, in a queue that grows by doubling.
pub const PASSWORD_BYTES: usize = 4 * size_of::<PasswordEntry>();

/// A bounded table of passwords.
///
/// A password is of use while a member or a reserved name has its token. The room bounds the number
/// of these, in all and for one address.
#[derive(Debug, Default)]
pub struct Passwords {
    entries: Vec<PasswordEntry>,
    hash_key: HashKey,
    /// The number of entries at which those without a use are removed.
    sweep_at: usize,
    /// The most entries, see [`PASSWORD_BYTES`]. Default: 0.
    pub max: usize,
    /// The rates of wrong passwords.
    wrong: Vec<(Origin, RateLimiter)>,
}

#[derive(Debug)]
struct PasswordEntry {
    /// The hash of the name and the password.
    key: u64,
    token: Token,
    /// The connection whose welcome had the token.
    id: ClientId,
}

impl Passwords {
    fn key(&self, name: &str, password: &str) -> u64 {
        self.hash_key.hash(concat(&[&case_fold(name), "\0", password]).as_bytes())
    }

    /// Returns the token for a name and a password, or `None` if the password is wrong or the address
    /// has sent too many wrong ones.
    #[inline(never)]
    pub fn get(
        &mut self,
        name: &str,
        password: &str,
        origin: Origin,
        now: Duration,
    ) -> Option<Token> {
        let key = self.key(name, password);
        let token = self.entries.iter().find(|entry| entry.key == key).map(|entry| entry.token);
        self.check(origin, now, || token)
    }

    /// Returns the token that `find` returns, or `None` if the address has sent too many wrong
    /// passwords.
    pub fn check(
        &mut self,
        origin: Origin,
        now: Duration,
        find: impl FnOnce() -> Option<Token>,
    ) -> Option<Token> {
        let limiter = self.limiter_of(origin, now)?;
        let rate = Rate::new(1, WRONG_AT_ONCE);
        if limiter.available(rate, now) == 0 {
            return None;
        }
        let token = find();
        if token.is_none() {
            limiter.take(rate, 1, now);
        }
        token
    }

    /// Returns whether the address has sent too many wrong passwords.
    #[cfg(feature = "cluster")]
    pub fn is_limited(&mut self, origin: Origin, now: Duration) -> bool {
        let limiter = self.limiter_of(origin, now);
        limiter.is_none_or(|limiter| limiter.available(Rate::new(1, WRONG_AT_ONCE), now) == 0)
    }

    /// Returns the limiter of the wrong passwords from an address.
    fn limiter_of(&mut self, origin: Origin, now: Duration) -> Option<&mut RateLimiter> {
        let known = self.wrong.iter().position(|(other, _)| *other == origin);
        if known.is_none() && self.wrong.len() == MAX_WRONG {
            self.wrong.retain(|(_, limiter)| !limiter.is_idle(now));
        }
        if known.is_none() && self.wrong.len() < MAX_WRONG {
            self.wrong.push((origin, RateLimiter::new()));
        }
        let at = known.unwrap_or(self.wrong.len().saturating_sub(1));
        self.wrong.get_mut(at).map(|(_, limiter)| limiter)
    }

    /// Remembers the password of a client, in place of an earlier one of the same client.
    /// `is_known` returns whether a member or a reserved name has a token.
    #[inline(never)]
    pub fn insert(
        &mut self,
        id: ClientId,
        name: &str,
        password: &str,
        token: Token,
        is_known: &dyn Fn(&Token) -> bool,
    ) {
        let key = self.key(name, password);
        let is_swept = self.entries.len() >= self.sweep_at;
        self.entries.retain(|entry| {
            entry.id != id && entry.key != key && (!is_swept || is_known(&entry.token))
        });
        if is_swept {
            self.sweep_at = (2 * self.entries.len()).max(64).min(self.max);
        }
        if self.entries.len() < self.max {
            self.entries.push(PasswordEntry { key, token, id });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(byte: u8) -> Token {
        Token([byte; 16])
    }

    fn get(passwords: &mut Passwords, name: &str, password: &str) -> Option<Token> {
        passwords.get(name, password, Origin::User(1), Duration::ZERO)
    }

    #[test]
    fn token_needs_name_and_password() {
        let mut passwords = Passwords { max: 4, ..Passwords::default() };
        passwords.insert(ClientId(1), "alice", "secret", token(1), &|_| true);
        assert!(get(&mut passwords, "ALICE", "secret").unwrap().matches(&token(1)));
        assert!(get(&mut passwords, "alice", "Secret").is_none());
        assert!(get(&mut passwords, "alic", "esecret").is_none());
        passwords.insert(ClientId(2), "alice", "secret", token(2), &|_| true);
        assert!(get(&mut passwords, "alice", "secret").unwrap().matches(&token(2)));
        assert_eq!(passwords.entries.len(), 1);
        // The client has another name.
        passwords.insert(ClientId(2), "bob", "secret", token(2), &|_| true);
        assert!(get(&mut passwords, "alice", "secret").is_none());
    }

    #[test]
    fn full_table_keeps_passwords_in_use() {
        let mut passwords = Passwords { max: 100, ..Passwords::default() };
        for number in 0..500_u64 {
            let name = format!("name-{number}");
            let token = token(if number % 10 == 0 { 1 } else { 2 });
            let is_known = |known: &Token| known.matches(&Token([1; 16]));
            passwords.insert(ClientId(number), &name, "a", token, &is_known);
            assert!(passwords.entries.len() <= 100);
        }
        for number in (0..500).step_by(10) {
            assert!(get(&mut passwords, &format!("name-{number}"), "a").is_some(), "{number}");
        }
    }

    #[test]
    fn address_cannot_try_many_passwords() {
        let mut passwords = Passwords { max: 100, ..Passwords::default() };
        passwords.insert(ClientId(1), "alice", "z", token(1), &|_| true);
        for number in 0..100 {
            assert!(get(&mut passwords, "alice", &number.to_string()).is_none());
        }
        // The right password gets the same answer.
        assert!(get(&mut passwords, "alice", "z").is_none());
        let mut get = |origin, seconds| {
            passwords.get("alice", "z", Origin::User(origin), Duration::from_secs(seconds))
        };
        assert!(get(2, 0).is_some());
        assert!(get(1, 2).is_some());
        for origin in 0..1000 {
            assert!(get(origin, 2).is_some());
        }
        for origin in 0..1000 {
            assert!(passwords.get("alice", "y", Origin::User(origin), Duration::ZERO).is_none());
        }
        assert!(passwords.wrong.len() <= MAX_WRONG);
    }

    #[test]
    fn many_addresses_cannot_try_many_passwords() {
        let mut passwords = Passwords { max: 100, ..Passwords::default() };
        passwords.insert(ClientId(1), "alice", "z", token(1), &|_| true);
        let mut is_right = |origin, password, seconds| {
            let now = Duration::from_secs(seconds);
            passwords.get("alice", password, Origin::User(origin), now).is_some()
        };
        for origin in (0..200).cycle().take(4000) {
            assert!(!is_right(origin, "a", 0));
        }
        assert!((0..200).all(|origin| !is_right(origin, "z", 0)));
        assert!((0..200).all(|origin| is_right(origin, "z", 20)));
    }
}
