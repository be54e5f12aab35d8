//! The algorithms and the settings that the server uses of rustls.

use std::sync::Arc;
use std::time::SystemTime;

use ring::rand::{SecureRandom as _, SystemRandom};
use rustls::crypto::ring::{cipher_suite, kx_group};
use rustls::crypto::{
    CryptoProvider, GetRandomFailed, KeyProvider, SecureRandom, WebPkiSupportedAlgorithms,
};
use rustls::pki_types::{PrivateKeyDer, UnixTime};
use rustls::server::ResolvesServerCert;
use rustls::sign::{CertifiedKey, SigningKey, SingleCertAndKey};
use rustls::time_provider::TimeProvider;
use rustls::version::TLS13;
use rustls::{Error, ServerConfig};

/// Random bytes of the operating system.
#[derive(Debug)]
struct Random;

impl SecureRandom for Random {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), GetRandomFailed> {
        SystemRandom::new().fill(bytes).map_err(|_| GetRandomFailed)
    }
}

/// No keys: those of the server are read without rustls.
#[derive(Debug)]
struct NoKeys;

impl KeyProvider for NoKeys {
    fn load_private_key(&self, _: PrivateKeyDer<'static>) -> Result<Arc<dyn SigningKey>, Error> {
        Err(Error::General(String::new()))
    }
}

#[derive(Debug)]
struct Clock;

impl TimeProvider for Clock {
    #[expect(clippy::disallowed_methods, reason = "rustls asks for the time of a ticket")]
    fn current_time(&self) -> Option<UnixTime> {
        SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .ok()
            .map(UnixTime::since_unix_epoch)
    }
}

/// Returns the algorithms, the preferred ones first. Each further one adds kilobytes to the program.
fn provider() -> CryptoProvider {
    let mut cipher_suites =
        vec![cipher_suite::TLS13_AES_128_GCM_SHA256, cipher_suite::TLS13_CHACHA20_POLY1305_SHA256];
    if !has_fast_aes() {
        cipher_suites.reverse();
    }
    CryptoProvider {
        cipher_suites,
        kx_groups: vec![kx_group::X25519],
        // The server does not verify clients.
        signature_verification_algorithms: WebPkiSupportedAlgorithms { all: &[], mapping: &[] },
        secure_random: &Random,
        key_provider: &NoKeys,
    }
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
