//! The hash of a token, which is in the log in place of the token.

use ring::digest::{SHA256, digest};

/// Returns the first 16 bytes of the SHA-256 of a token. The token cannot be computed from them.
pub fn hash_token(token: [u8; 16]) -> [u8; 16] {
    let mut hash = [0; 16];
    for (to, from) in hash.iter_mut().zip(digest(&SHA256, &token).as_ref()) {
        *to = *from;
    }
    hash
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
}
