//! The algorithms of TLS and the fingerprint of a key, for the server and the client.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::SystemTime;

use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom as _, SystemRandom};
use rustls::Error;
use rustls::crypto::ring::{cipher_suite, kx_group};
use rustls::crypto::{
    CryptoProvider, GetRandomFailed, KeyProvider, SecureRandom, WebPkiSupportedAlgorithms,
};
use rustls::pki_types::{PrivateKeyDer, UnixTime};
use rustls::sign::SigningKey;
use rustls::time_provider::TimeProvider;

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/// The text before the digits of a fingerprint.
const PREFIX: &str = "SHA256:";
/// The digits of a fingerprint: 32 bytes in base64, without padding.
const DIGITS: usize = 43;

/// Returns the algorithms for the records, the exchange of keys and random bytes. Each further one
/// adds kilobytes to the program. The client adds those with which it verifies signatures.
pub fn provider() -> CryptoProvider {
    CryptoProvider {
        cipher_suites: vec![
            cipher_suite::TLS13_AES_128_GCM_SHA256,
            cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
        ],
        kx_groups: vec![kx_group::X25519],
        signature_verification_algorithms: WebPkiSupportedAlgorithms { all: &[], mapping: &[] },
        secure_random: &Random,
        key_provider: &NoKeys,
    }
}

/// Random bytes of the operating system.
#[derive(Debug)]
struct Random;

impl SecureRandom for Random {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), GetRandomFailed> {
        SystemRandom::new().fill(bytes).map_err(|_| GetRandomFailed)
    }
}

/// No keys: those of the server are read without rustls, and the client has none.
#[derive(Debug)]
struct NoKeys;

impl KeyProvider for NoKeys {
    fn load_private_key(&self, _: PrivateKeyDer<'static>) -> Result<Arc<dyn SigningKey>, Error> {
        Err(Error::General(String::new()))
    }
}

/// The clock of the operating system. A time before 1970 counts as 1970.
#[derive(Debug)]
pub struct Clock;

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Some(UnixTime::since_unix_epoch(time.unwrap_or_default()))
    }
}

/// The SHA-256 of the public key of a server, as `SHA256:` and 43 digits in base64.
///
/// # Examples
///
/// ```
/// use smolchat::tls::Fingerprint;
///
/// let text = "SHA256:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0";
/// assert_eq!(text.parse::<Fingerprint>()?.to_string(), text);
/// # Ok::<(), smolchat::tls::InvalidFingerprint>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// Returns the fingerprint of a public key, given as the DER of its `SubjectPublicKeyInfo`.
    pub fn of_spki(spki: &[u8]) -> Self {
        let digits = base64(digest(&SHA256, spki).as_ref());
        Fingerprint(digits.trim_end_matches('=').into())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", self.0)
    }
}

/// A text is not a fingerprint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidFingerprint;

impl fmt::Display for InvalidFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {PREFIX} and {DIGITS} digits in base64")
    }
}

impl std::error::Error for InvalidFingerprint {}

impl FromStr for Fingerprint {
    type Err = InvalidFingerprint;

    /// Parses a fingerprint, with or without the padding of base64.
    fn from_str(text: &str) -> Result<Self, InvalidFingerprint> {
        let digits = text.strip_prefix(PREFIX).ok_or(InvalidFingerprint)?;
        let digits = digits.strip_suffix('=').unwrap_or(digits);
        let is_valid =
            digits.len() == DIGITS && digits.bytes().all(|digit| BASE64.contains(&digit));
        if is_valid { Ok(Fingerprint(digits.into())) } else { Err(InvalidFingerprint) }
    }
}

/// Returns bytes in base64, with padding.
pub(crate) fn base64(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - chunk.len()));
        for index in 0..4 {
            let digit = BASE64.get((bits >> (18 - 6 * index) & 63) as usize);
            let digit = digit.filter(|_| index <= chunk.len()).copied().unwrap_or(b'=');
            text.push(digit.into());
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_rfc_4648() {
        for (bytes, expected) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), expected);
        }
        assert_eq!(base64(&[0xFB, 0xFF]), "+/8=");
    }

    #[test]
    fn fingerprint_is_the_sha256_in_base64() {
        // printf abc | openssl sha256 -binary | base64
        let fingerprint = Fingerprint::of_spki(b"abc");
        let text = "SHA256:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0";
        assert_eq!(fingerprint.to_string(), text);
        assert_eq!(text.parse(), Ok(fingerprint.clone()));
        assert_eq!(format!("{text}=").parse(), Ok(fingerprint));
    }

    #[test]
    fn text_of_another_form_is_no_fingerprint() {
        let digits = "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0";
        for text in [
            String::new(),
            digits.into(),
            format!("sha256:{digits}"),
            format!("SHA256:{digits}=="),
            format!("SHA256:{digits}A"),
            format!("SHA256:{}", &digits[1..]),
            format!("SHA256:{}-", &digits[1..]),
        ] {
            assert_eq!(text.parse::<Fingerprint>(), Err(InvalidFingerprint), "{text}");
        }
    }
}
