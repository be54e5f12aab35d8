//! The algorithms and the settings that the server uses of rustls.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::server::ResolvesServerCert;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::TLS13;
use rustls::{Error, ServerConfig};

use crate::tls::Clock;

/// Returns the algorithms, the preferred ones first.
fn provider() -> CryptoProvider {
    let mut provider = crate::tls::provider();
    if !has_fast_aes() {
        provider.cipher_suites.reverse();
    }
    provider
}

/// Returns whether the processor has instructions for AES. Without them ChaCha20 is faster.
fn has_fast_aes() -> bool {
    #[cfg(target_arch = "x86_64")]
    let has_fast_aes = std::arch::is_x86_feature_detected!("aes");
    #[cfg(target_arch = "aarch64")]
    let has_fast_aes = std::arch::is_aarch64_feature_detected!("aes");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let has_fast_aes = false;
    has_fast_aes
}

/// Returns the settings for handshakes with a certificate: TLS 1.3 alone, without tickets.
///
/// # Errors
///
/// Returns an error if rustls does not accept the algorithms.
pub fn server_config(key: CertifiedKey) -> Result<Arc<ServerConfig>, Error> {
    let resolver: Arc<dyn ResolvesServerCert> = Arc::new(SingleCertAndKey::from(key));
    let builder = ServerConfig::builder_with_details(Arc::new(provider()), Arc::new(Clock));
    let builder = builder.with_protocol_versions(&[&TLS13])?.with_no_client_auth();
    let mut config = builder.with_cert_resolver(resolver);
    // The server encrypts for all members, and each client for itself.
    config.ignore_client_order = true;
    config.send_tls13_tickets = 0;
    config.enable_secret_extraction = true;
    Ok(Arc::new(config))
}
