//! TLS in a build without the feature `tls`: there is none.

use std::io;

use super::{Error, ServerAddress};

/// The keys that a session trusts.
#[derive(Clone, Debug, Default)]
pub struct Settings {}

/// A connection that speaks TLS, which this build cannot create.
#[derive(Debug)]
pub enum TlsStream {}

impl TlsStream {
    pub fn new(_host: &str, _settings: &Settings) -> io::Result<Self> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "this build has no TLS"))
    }

    pub fn is_handshaking(&self) -> bool {
        match *self {}
    }

    pub fn is_closed(&self) -> bool {
        match *self {}
    }

    pub fn read(&mut self, _bytes: &[u8], _on_data: impl FnMut(&[u8])) -> io::Result<()> {
        match *self {}
    }

    pub fn handshake_error(&self, _address: ServerAddress, _error: io::Error) -> Error {
        match *self {}
    }

    pub fn encrypt(&mut self, _data: &mut Vec<u8>) {
        match *self {}
    }

    pub fn close(&mut self) {
        match *self {}
    }

    pub fn output(&mut self) -> &mut Vec<u8> {
        match *self {}
    }
}
