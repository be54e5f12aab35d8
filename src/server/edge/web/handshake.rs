//! The answer to the key of a WebSocket handshake.

/// The bytes that RFC 6455 adds to the key.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Returns the `Sec-WebSocket-Accept` for a `Sec-WebSocket-Key`, or `None` if the key has not the
/// length of 16 bytes in base64.
pub fn accept_key(key: &[u8]) -> Option<Vec<u8>> {
    let is_valid = key.len() == 24 && key.ends_with(b"==");
    is_valid.then(|| base64(sha1([key, GUID].concat())))
}

/// Returns the SHA-1 hash of a message of 56 to 119 bytes, which takes two blocks. WebSocket uses it
/// as a checksum, not for security.
fn sha1(mut message: Vec<u8>) -> [u32; 5] {
    let bits = 8 * message.len() as u16;
    message.push(0x80);
    message.resize(126, 0);
    message.extend_from_slice(&bits.to_be_bytes());
    let mut hash = [0x6745_2301, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476, 0xC3D2_E1F0];
    for block in message.as_chunks::<64>().0 {
        add_block(&mut hash, block);
    }
    hash
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

fn base64(hash: [u32; 5]) -> Vec<u8> {
    let mut text = Vec::new();
    let mut bits = 0;
    let mut count = 0;
    // The last byte is a part of the last digit.
    for byte in hash.map(u32::to_be_bytes).as_flattened().iter().chain(&[0]) {
        bits = bits << 8 | usize::from(*byte);
        count += 8;
        while count >= 6 {
            count -= 6;
            text.extend(BASE64.get(bits >> count & 63));
        }
    }
    text.pop();
    text.push(b'=');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_accepted_with_their_hashes() {
        for (key, expected) in [
            // The example of the specification.
            (b"dGhlIHNhbXBsZSBub25jZQ==", b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
            (b"AAAAAAAAAAAAAAAAAAAAAA==", b"ICX+Yqv66kxgM0FcWaLWlFLwTAI="),
            (b"/////////////////////w==", b"XXpj4jYzLM2yUE0C7TIgMwTQh2g="),
            (b"x3JJHMbDL1EzLkh9GBhXDw==", b"HSmrc0sMlYUkAGmm5OPpG2HaGWk="),
        ] {
            assert_eq!(accept_key(key).unwrap(), expected);
        }
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
            b"dGhlIHNhbXBsZSBub25jZQQQ",
        ] {
            assert_eq!(accept_key(key), None, "{}", key.escape_ascii());
        }
    }
}
