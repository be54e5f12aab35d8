//! The settings for TLS.

use super::Certificate;

/// The settings for TLS.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Config {
    /// The certificate and its key. Default: none, and no handshake is possible.
    pub certificate: Option<Certificate>,
}
