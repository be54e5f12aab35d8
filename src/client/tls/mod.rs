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
pub struct Settings {
    /// The only keys that are trusted. If it is empty, the server needs a certificate of a CA.
    pub pins: Vec<Fingerprint>,
}
