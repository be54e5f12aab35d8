//! The certificate of the server and its key: read from files, or created at the first start.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use log::{info, warn};
use rustls::ServerConfig;
use rustls::crypto::ring::sign::{any_ecdsa_type, any_eddsa_type};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SigningKey};

use super::der::{SelfSigned, pem};
use super::server_config;
use crate::os::{BYTE_ORDER_MARK, open_regular};
use crate::tls::Fingerprint;

/// The most bytes of a file.
pub const MAX_FILE_BYTES: usize = 32 * 1024;
/// The most bytes of a certificate chain, which is sent in each handshake.
pub const MAX_CHAIN_BYTES: usize = 8 * 1024;
/// The version in the DER of a certificate, behind the headers of at most 9 bytes.
const VERSION_3: &[u8] = &[0xA0, 3, 2, 1, 2];
/// The name of the machine, for a new certificate.
const HOST_NAME: &str = "/proc/sys/kernel/hostname";

/// A certificate chain and its key, and the files from which they were read.
#[derive(Clone)]
pub struct Certificate {
    files: Files,
    /// When the files were last changed.
    modified: [Option<SystemTime>; 2],
    config: Arc<ServerConfig>,
    fingerprint: String,
}

#[derive(Clone, Debug)]
struct Files {
    chain: PathBuf,
    /// `None` if the key is in the file of the chain.
    key: Option<PathBuf>,
}

/// An error of a certificate or its key.
#[derive(Debug)]
pub struct CertificateError(String);

impl fmt::Display for CertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CertificateError {}

impl Certificate {
    /// Reads a certificate chain from a PEM file, and its key from the same file or another one.
    /// If there is no file for both, creates it with a self-signed certificate.
    ///
    /// # Errors
    ///
    /// Returns an error if the files cannot be read or written, or if they are not those of a
    /// certificate and its key.
    pub fn open(chain: &Path, key: Option<&Path>) -> Result<Self, CertificateError> {
        if key.is_none() && fs::symlink_metadata(chain).is_err_and(is_missing) {
            create(chain)?;
        }
        Self::read(Files { chain: chain.into(), key: key.map(Into::into) })
    }

    /// Returns the fingerprint of the public key: `SHA256:` and 43 characters of base64.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Returns the settings for handshakes.
    pub fn config(&self) -> &Arc<ServerConfig> {
        &self.config
    }

    /// Returns whether a file has another time than when it was read.
    pub(super) fn is_outdated(&self) -> bool {
        self.modified != self.files.modified()
    }

    /// Reads the files again. Logs the result; if they are invalid, the old certificate stays.
    pub(super) fn reload(&mut self) {
        let path = self.files.chain.display().to_string();
        match Self::read(self.files.clone()) {
            Ok(new) => {
                *self = new;
                info!("read the certificate {path} again: tls key {}", self.fingerprint);
            }
            Err(error) => {
                // Read again after the next change alone.
                self.modified = self.files.modified();
                warn!("the old certificate stays: {error}");
            }
        }
    }

    fn read(files: Files) -> Result<Self, CertificateError> {
        // Before the files are read, so that a later change is found.
        let modified = files.modified();
        let pem = read(&files.chain)?;
        let key_path = files.key.as_ref().unwrap_or(&files.chain);
        let key_pem = files.key.as_ref().map(|path| read(path)).transpose()?;
        let chain = parse_chain(&pem, &files.chain)?;
        let key = parse_key(key_pem.as_ref().unwrap_or(&pem), key_path)?;
        let public_key = key.public_key();
        let public_key = public_key.as_ref().map(|key| key.as_ref()).unwrap_or_default();
        let leaf = chain.first().map(|leaf| leaf.as_ref()).unwrap_or_default();
        if public_key.is_empty() || !leaf.windows(public_key.len()).any(|part| part == public_key) {
            return Err(CertificateError(format!(
                "the key in {} does not belong to the first certificate in {}",
                key_path.display(),
                files.chain.display()
            )));
        }
        if !leaf.windows(VERSION_3.len()).take(10).any(|part| part == VERSION_3) {
            let path = files.chain.display();
            warn!(
                "smolchat and browsers refuse the certificate in {path}: it is not X.509 version 3"
            );
        }
        warn_if_public(key_path);
        let fingerprint = Fingerprint::of_spki(public_key).to_string();
        let config = server_config(CertifiedKey::new(chain, key))
            .map_err(|error| CertificateError(format!("cannot set up TLS: {error}")))?;
        Ok(Certificate { files, modified, config, fingerprint })
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("fingerprint", &self.fingerprint)
            .finish_non_exhaustive()
    }
}

impl Files {
    fn modified(&self) -> [Option<SystemTime>; 2] {
        let modified = |path: &PathBuf| fs::metadata(path).and_then(|data| data.modified()).ok();
        [modified(&self.chain), self.key.as_ref().and_then(modified)]
    }
}

fn parse_chain(pem: &[u8], path: &Path) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let path = path.display();
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let chain = chain.map_err(|_| CertificateError(format!("{path} is not a valid PEM file")))?;
    let bytes: usize = chain.iter().map(|certificate| certificate.len()).sum();
    match bytes {
        0 => Err(CertificateError(format!("{path} has no certificate, expected PEM"))),
        1..=MAX_CHAIN_BYTES => Ok(chain),
        _ => Err(CertificateError(format!(
            "the certificates in {path} have {bytes} bytes, expected at most {MAX_CHAIN_BYTES}"
        ))),
    }
}

fn parse_key(pem: &[u8], path: &Path) -> Result<Arc<dyn SigningKey>, CertificateError> {
    let path = path.display();
    let key = PrivateKeyDer::from_pem_slice(pem)
        .map_err(|_| CertificateError(format!("{path} has no private key, expected PEM")))?;
    let eddsa = || match &key {
        PrivateKeyDer::Pkcs8(key) => any_eddsa_type(key).ok(),
        _ => None,
    };
    any_ecdsa_type(&key).ok().or_else(eddsa).ok_or_else(|| {
        CertificateError(format!(
            "cannot use the key in {path}: expected ECDSA (P-256 or P-384) or Ed25519, not RSA"
        ))
    })
}

/// Creates a file with a key and a self-signed certificate, which only its owner can read.
fn create(path: &Path) -> Result<(), CertificateError> {
    let host = fs::read_to_string(HOST_NAME).unwrap_or_default();
    let host = host.trim();
    let is_name = |name: &str| !name.is_empty() && name.len() < 64 && name.is_ascii();
    let mut names = vec!["localhost"];
    let (local, lan) = (format!("{host}.local"), format!("{host}.lan"));
    if is_name(host) && host != "localhost" {
        names.push(host);
        if !host.contains('.') {
            names.extend([&*local, &*lan]);
        }
    }
    let new = SelfSigned::create(&names).map_err(|_| {
        CertificateError("cannot create a certificate: there are no random bytes".into())
    })?;
    let text = pem("PRIVATE KEY", &new.key) + &pem("CERTIFICATE", &new.certificate);
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let written = file.and_then(|mut file| {
        let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
        written.inspect_err(|_| drop(fs::remove_file(path)))
    });
    let path = path.display();
    written.map_err(|error| CertificateError(format!("cannot create {path}: {error}")))?;
    info!("created {path} with a self-signed certificate");
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>, CertificateError> {
    let mut bytes = Vec::new();
    let limit = MAX_FILE_BYTES as u64 + 1;
    let read = open_regular(path).and_then(|file| file.take(limit).read_to_end(&mut bytes));
    let path = path.display();
    read.map_err(|error| CertificateError(format!("cannot read {path}: {error}")))?;
    if bytes.len() > MAX_FILE_BYTES {
        return Err(CertificateError(format!("{path} has more than {MAX_FILE_BYTES} bytes")));
    }
    let has = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
    if has(b"BEGIN ENCRYPTED PRIVATE KEY") || has(b"Proc-Type: 4,ENCRYPTED") {
        return Err(CertificateError(format!(
            "the key in {path} is encrypted; openssl pkey -in {path} -out FILE decrypts it"
        )));
    }
    // Otherwise the first part of the file is not found.
    if bytes.starts_with(BYTE_ORDER_MARK.as_bytes()) {
        bytes.drain(..BYTE_ORDER_MARK.len());
    }
    Ok(bytes)
}

/// Warns if all users can read a key.
fn warn_if_public(path: &Path) {
    if fs::metadata(path).is_ok_and(|data| data.permissions().mode() & 0o004 != 0) {
        let path = path.display();
        warn!("all users can read the private key in {path} (chmod o= {path})");
    }
}

fn is_missing(error: io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}
