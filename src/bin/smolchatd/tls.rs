//! The options for TLS.

use std::ffi::OsString;
use std::path::PathBuf;

use smolchat::server::edge::tls::{Certificate, CertificateError, Config};

/// The options for TLS.
#[derive(Debug, Default)]
pub struct TlsOptions {
    /// The file of the certificate.
    file: Option<PathBuf>,
    /// The file of the key, if it is another one.
    key_file: Option<PathBuf>,
}

impl TlsOptions {
    /// Sets an option. Returns the settings without the certificate, or `None` if clients cannot use
    /// TLS.
    pub fn set(&mut self, option: &str, value: OsString) -> Result<Option<Config>, lexopt::Error> {
        match option {
            _ if value.is_empty() => {
                return Err(format!("--{option}: expected the path of a file").into());
            }
            "tls" => self.file = Some(value.into()),
            _ => self.key_file = Some(value.into()),
        }
        Ok(self.file.as_ref().map(|_| Config::default()))
    }

    /// Returns the contradiction between the options, if there is one.
    pub fn find_contradiction(&self) -> Option<String> {
        let is_useless = self.file.is_none() && self.key_file.is_some();
        is_useless.then(|| "--tls-key has no effect without --tls".into())
    }

    /// Reads the certificate, or creates it. Returns `None` if clients cannot use TLS.
    pub fn open_certificate(&self) -> Result<Option<Certificate>, CertificateError> {
        let Some(file) = &self.file else { return Ok(None) };
        Certificate::open(file, self.key_file.as_deref()).map(Some)
    }
}
