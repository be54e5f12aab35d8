//! TLS 1.3 to a server, with the feature `tls`.
//!
//! [`TlsStream`] encrypts the lines of a link and decrypts the bytes of the server, and does no I/O.
//! [`Verifier`](verifier::Verifier) decides whether the key of the server is trusted.

mod roots;
mod stream;
mod verifier;

pub use stream::TlsStream;

use crate::tls::Fingerprint;

/// The keys that a session trusts.
#[derive(Clone, Debug, Default)]
pub struct TlsSettings {
    /// The only keys that are trusted, for all servers.
    pub pins: Vec<Fingerprint>,
    /// Servers, as `HOST:PORT`, with the keys that they may have. Used without `pins`.
    pub known: Vec<(String, Fingerprint)>,
}

impl TlsSettings {
    /// Returns the only keys that are trusted for a server. If there are none, it needs a
    /// certificate of a CA.
    fn keys_of(&self, server: &str) -> Vec<Fingerprint> {
        if !self.pins.is_empty() {
            return self.pins.clone();
        }
        let known = self.known.iter().filter(|(known, _)| known.eq_ignore_ascii_case(server));
        known.map(|(_, key)| key.clone()).collect()
    }
}
