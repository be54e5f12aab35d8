//! The hash of a token, which is in the log in place of the token, and the tokens of passwords.

use std::num::NonZeroU32;

use ring::digest::{SHA256, digest};
use ring::pbkdf2::{PBKDF2_HMAC_SHA256, derive};

/// The rounds of PBKDF2. They take about 0.3 ms, in which the room waits, and slow down a search for
/// the passwords whose hashes are in the log.
const ROUNDS: NonZeroU32 = NonZeroU32::new(1000).unwrap();

/// Returns the first 16 bytes of the SHA-256 of a token. The token cannot be computed from them.
pub fn hash_token(token: [u8; 16]) -> [u8; 16] {
    let mut hash = [0; 16];
    for (to, from) in hash.iter_mut().zip(digest(&SHA256, &token).as_ref()) {
        *to = *from;
    }
    hash
}

/// Returns the token of an IRC client that keeps its name with a password: the same at all nodes, which
/// have the same key.
pub fn token_of_password(key: [u64; 2], name: &str, password: &str) -> [u8; 16] {
    let mut salt = key.map(u64::to_le_bytes).concat();
    salt.extend_from_slice(name.as_bytes());
    let mut token = [0; 16];
    derive(PBKDF2_HMAC_SHA256, ROUNDS, &salt, password.as_bytes(), &mut token);
    token
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_is_the_start_of_sha_256() {
        // printf 'sixteen secrets!' | sha256sum
        let hash = hash_token(*b"sixteen secrets!");
        let text: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(text, "45274374244fae39fa70aba527cd6cc5");
    }

    #[test]
    fn token_depends_on_key_name_and_password() {
        let token = token_of_password([1, 2], "alice", "secret");
        assert_eq!(token, token_of_password([1, 2], "alice", "secret"));
        for (key, name, password) in
            [([2, 1], "alice", "secret"), ([1, 2], "bob", "secret"), ([1, 2], "alice", "Secret")]
        {
            assert_ne!(token, token_of_password(key, name, password));
        }
    }
}
