//! The certificates of the CAs that the system trusts.

use std::env;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::os::open_regular;

/// The variable with the path of a file in place of that of the system, as in OpenSSL.
const VARIABLE: &str = "SSL_CERT_FILE";
/// The paths of the file on usual systems.
const PATHS: [&str; 5] = [
    // Debian, Alpine, OpenWrt, Arch
    "/etc/ssl/certs/ca-certificates.crt",
    // Fedora
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    // openSUSE
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
/// The longest file, in bytes. That of Debian has 220 KiB.
const MAX_SIZE: u64 = 8 << 20;

/// Reads the certificates. Returns none if the system has no file of them.
///
/// # Errors
///
/// Returns the error of a file that cannot be read, with its path.
pub fn load() -> Result<RootCertStore, String> {
    let given = env::var_os(VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from);
    let found = PATHS.iter().map(PathBuf::from).find(|path| path.exists());
    let Some(path) = given.or(found) else { return Ok(RootCertStore::empty()) };
    let pem = read(&path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok);
    roots.add_parsable_certificates(certificates);
    Ok(roots)
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut pem = Vec::new();
    open_regular(path)?.take(MAX_SIZE).read_to_end(&mut pem)?;
    Ok(pem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_in_place_of_certificates_is_refused() {
        let error = read(Path::new("/dev/zero")).unwrap_err().to_string();
        assert!(error.starts_with("expected a regular file"), "{error}");
    }
}
