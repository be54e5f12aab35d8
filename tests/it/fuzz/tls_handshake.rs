//! The first bytes of a client of TLS. The first byte of the input is the length of the reads.

use std::sync::{Arc, OnceLock};

use smolchat::server::edge::tls::{Certificate, Handshake};

/// Returns a certificate, which is made at the first call.
pub fn certificate() -> &'static (Certificate, Vec<u8>) {
    static CERTIFICATE: OnceLock<(Certificate, Vec<u8>)> = OnceLock::new();
    CERTIFICATE.get_or_init(|| {
        let name = format!("smolchat-fuzz-{}-{:p}.pem", std::process::id(), &CERTIFICATE);
        let path = std::env::temp_dir().join(name);
        let certificate = Certificate::open(&path, None).unwrap();
        let pem = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        (certificate, pem)
    })
}

pub fn run(input: &[u8]) {
    let Some((&length, bytes)) = input.split_first() else { return };
    let (certificate, _) = certificate();
    let mut handshake = Handshake::new(Arc::clone(certificate.config())).unwrap();
    for part in bytes.chunks(usize::from(length) + 1) {
        match handshake.read(part) {
            Ok(step) => assert!(!step.is_done, "a client without a key"),
            Err(failure) => return assert!(!failure.cause.is_empty()),
        }
    }
}
