//! The decision whether the key of a server is trusted.

use std::fmt;
use std::sync::OnceLock;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};

use super::roots;
use crate::client::sanitize;
use crate::tls::Fingerprint;

/// A verifier that trusts pinned keys, or without pins the certificates of the system's CAs.
///
/// The name and the time of a pinned certificate are not checked: a router may have no right time.
pub struct Verifier {
    pins: Vec<Fingerprint>,
    algorithms: WebPkiSupportedAlgorithms,
    untrusted_key: OnceLock<UntrustedKey>,
}

/// The reason why a key is not trusted.
#[derive(Debug)]
pub enum UntrustedKey {
    /// The key is not a pinned one.
    Changed { found: Fingerprint },
    /// No key is pinned, and the certificate is not valid for this reason.
    Unknown { found: Fingerprint, cause: String },
}

impl Verifier {
    pub fn new(pins: Vec<Fingerprint>, algorithms: WebPkiSupportedAlgorithms) -> Self {
        Verifier { pins, algorithms, untrusted_key: OnceLock::new() }
    }

    /// Returns the pinned keys.
    pub fn pins(&self) -> &[Fingerprint] {
        &self.pins
    }

    /// Returns the reason why the key of the server was not trusted.
    pub fn untrusted_key(&self) -> Option<&UntrustedKey> {
        self.untrusted_key.get()
    }

    /// Checks a certificate against those of the CAs. Returns the reason why it is not valid.
    fn check_chain(
        &self,
        certificate: &ParsedCertificate<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), String> {
        let (roots, algorithms) = (roots::load()?, self.algorithms.all);
        verify_server_cert_signed_by_trust_anchor(
            certificate,
            &roots,
            intermediates,
            now,
            algorithms,
        )
        .and_then(|()| verify_server_name(certificate, name))
        .map_err(|error| describe(&error))
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let certificate = ParsedCertificate::try_from(certificate)?;
        let found = Fingerprint::of_spki(&certificate.subject_public_key_info());
        let untrusted_key = if !self.pins.is_empty() {
            if self.pins.contains(&found) {
                return Ok(ServerCertVerified::assertion());
            }
            UntrustedKey::Changed { found }
        } else {
            match self.check_chain(&certificate, intermediates, name, now) {
                Ok(()) => return Ok(ServerCertVerified::assertion()),
                Err(cause) => UntrustedKey::Unknown { found, cause },
            }
        };
        // There is one handshake for each verifier.
        let _ = self.untrusted_key.set(untrusted_key);
        Err(CertificateError::ApplicationVerificationFailure.into())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        // Not reached: the client speaks TLS 1.3 alone.
        Err(Error::General("TLS 1.2 is not supported".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("pins", &self.pins).finish_non_exhaustive()
    }
}

/// Returns the reason why a certificate is not valid.
fn describe(error: &Error) -> String {
    let Error::InvalidCertificate(error) = error else { return error.to_string() };
    match error {
        CertificateError::UnknownIssuer => "its certificate is of no CA of this system".into(),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate has expired, or the clock is wrong".into()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet, or the clock is wrong".into()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "its certificate is for another host".into()
        }
        // Most are certificates that openssl has signed with their own key: it marks them as those
        // of a CA.
        CertificateError::Other(_) => "its certificate is not that of a server of a CA".into(),
        // It may quote the certificate.
        error => sanitize(&error.to_string()),
    }
}
