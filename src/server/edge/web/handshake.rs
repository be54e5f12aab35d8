//! The answer to the key of a WebSocket handshake.

/// The bytes that RFC 6455 adds to the key.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Returns the `Sec-WebSocket-Accept` for a `Sec-WebSocket-Key`, or `None` if the key is not 16
/// bytes in base64.
pub fn accept_key(key: &[u8]) -> Option<Vec<u8>> {
    let digits = key.strip_suffix(b"==").filter(|digits| digits.len() == 22)?;
    let is_valid = digits.iter().all(|digit| BASE64.contains(digit));
    is_valid.then(|| base64(&sha1(&[key, GUID].concat())))
}

/// Returns the SHA-1 hash of a message. WebSocket uses it as a checksum, not for security.
fn sha1(message: &[u8]) -> [u8; 20] {
    let mut padded = message.to_vec();
    padded.push(0x80);
    padded.resize(padded.len().next_multiple_of(64), 0);
    if padded.len() - message.len() < 9 {
        padded.resize(padded.len() + 64, 0);
    }
    let length_at = padded.len() - 8;
    padded.truncate(length_at);
    padded.extend_from_slice(&(message.len() as u64 * 8).to_be_bytes());
    let mut hash = [0x6745_2301, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476, 0xC3D2_E1F0];
    for block in padded.as_chunks::<64>().0 {
        add_block(&mut hash, block);
    }
    let mut bytes = [0; 20];
    let (words, _) = bytes.as_chunks_mut::<4>();
    words.iter_mut().zip(hash).for_each(|(to, word)| *to = word.to_be_bytes());
    bytes
}

fn add_block(hash: &mut [u32; 5], block: &[u8; 64]) {
    let mut words = [0; 16];
    let (bytes, _) = block.as_chunks::<4>();
    words.iter_mut().zip(bytes).for_each(|(word, bytes)| *word = u32::from_be_bytes(*bytes));
    let [mut a, mut b, mut c, mut d, mut e] = *hash;
    for round in 0..80 {
        let (mixed, constant) = match round {
            0..20 => (b & c | !b & d, 0x5A82_7999),
            20..40 => (b ^ c ^ d, 0x6ED9_EBA1),
            40..60 => (b & c | b & d | c & d, 0x8F1B_BCDC_u32),
            _ => (b ^ c ^ d, 0xCA62_C1D6),
        };
        let sum = e.wrapping_add(words[0]).wrapping_add(mixed).wrapping_add(constant);
        (a, b, c, d, e) = (sum.wrapping_add(a.rotate_left(5)), a, b.rotate_left(30), c, d);
        words[0] = (words[0] ^ words[2] ^ words[8] ^ words[13]).rotate_left(1);
        words.rotate_left(1);
    }
    hash.iter_mut().zip([a, b, c, d, e]).for_each(|(to, word)| *to = to.wrapping_add(word));
}

fn base64(bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    for chunk in bytes.chunks(3) {
        let mut group = [0; 4];
        group.iter_mut().skip(1).zip(chunk).for_each(|(to, byte)| *to = *byte);
        let group = u32::from_be_bytes(group);
        for index in 0..=chunk.len() {
            let digit = group >> (18 - 6 * index) & 63;
            text.extend(BASE64.get(digit as usize));
        }
        text.extend(b"==".iter().take(3 - chunk.len()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_of_the_specification_is_accepted() {
        let accept = accept_key(b"dGhlIHNhbXBsZSBub25jZQ==").unwrap();
        assert_eq!(accept, b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn key_that_is_not_16_bytes_is_rejected() {
        for key in [
            &b""[..],
            b"==",
            b"dGhlIHNhbXBsZSBub25jZQ",
            b"dGhlIHNhbXBsZSBub25jZQ= ",
            b"dGhlIHNhbXBsZSBub25jZQ===",
            b"dGhlIHNhbXBsZSBub25jZ Q==",
            b"dGhlIHNhbXBsZSBub25j-_==",
            b"dGhlIHNhbXBsZSBub25jZQQQ",
        ] {
            assert_eq!(accept_key(key), None, "{}", key.escape_ascii());
        }
    }

    #[test]
    fn hashes_of_the_standard_are_right() {
        let text = b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
        for (message, expected) in [
            (&b""[..], "2jmj7l5rSw0yVb/vlWAYkK/YBwk="),
            (b"abc", "qZk+NkcGgWq6PiVxeFDCbJzQ2J0="),
            (text, "hJg+RBw70m66rkqh+VEp5eVGcPE="),
            (&[b'a'; 1000], "KR6abGaZSUm1e6XmUDYemPw2sbo="),
        ] {
            assert_eq!(base64(&sha1(message)), expected.as_bytes());
        }
    }

    #[test]
    fn base64_is_padded() {
        for (bytes, expected) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v")] {
            assert_eq!(base64(bytes.as_bytes()), expected.as_bytes());
        }
    }
}
