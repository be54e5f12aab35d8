//! The encryption of one connection. Does no I/O.

use std::fmt;
use std::io;
use std::sync::Arc;

use rustls::client::{Resumption, UnbufferedClientConnection};
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{InvalidDnsNameError, ServerName};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncryptError, InsufficientSizeError, UnbufferedStatus,
};
use rustls::version::TLS13;
use rustls::{CertificateError, ClientConfig};

use super::TlsSettings;
use super::verifier::{UntrustedKey, Verifier};
use crate::client::{Error, ServerAddress};
use crate::tls::{SystemClock, provider};

/// The most bytes that are encrypted at once: those of one record.
const MAX_PLAIN_BYTES: usize = 16 << 10;
/// The bytes that a record has besides its data, and those of a message about new keys before it.
const RECORD_OVERHEAD: usize = 64;

/// A connection that speaks TLS.
pub struct TlsStream {
    connection: UnbufferedClientConnection,
    verifier: Arc<Verifier>,
    /// The start of a record or message that is incomplete. rustls limits its length.
    input: Vec<u8>,
    /// Records that wait to be sent.
    output: Vec<u8>,
    end: Option<StreamEnd>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StreamEnd {
    /// The server sends no more data.
    Closed,
    /// A record of the server was invalid, or the keys are used up.
    Failed,
}

impl TlsStream {
    /// Creates a connection whose first message is in the [output](Self::output).
    ///
    /// # Errors
    ///
    /// Returns an error if `host` cannot be the name of a server. `server` is the host with the port.
    pub fn new(server: &str, host: &str, settings: &TlsSettings) -> io::Result<Self> {
        let provider = CryptoProvider {
            // RSA and P-384 are needed for the certificates of most CAs.
            signature_verification_algorithms: default_provider().signature_verification_algorithms,
            ..provider()
        };
        let algorithms = provider.signature_verification_algorithms;
        let verifier = Arc::new(Verifier::new(settings.keys_of(server), algorithms));
        let builder = ClientConfig::builder_with_details(Arc::new(provider), Arc::new(SystemClock));
        let builder = builder.with_protocol_versions(&[&TLS13]).map_err(other)?;
        let builder =
            builder.dangerous().with_custom_certificate_verifier(Arc::clone(&verifier) as _);
        let mut config = builder.with_no_client_auth();
        config.resumption = Resumption::disabled();
        let connection = UnbufferedClientConnection::new(Arc::new(config), server_name(host)?);
        let mut stream = TlsStream {
            connection: connection.map_err(other)?,
            verifier,
            input: Vec::new(),
            output: Vec::new(),
            end: None,
        };
        stream.process(|_| {}).map_err(other)?;
        Ok(stream)
    }

    /// Returns whether the handshake is not complete, so that nothing can be sent.
    pub fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// Returns whether the server has sent close_notify: it sends no more data.
    pub fn is_closed(&self) -> bool {
        self.end == Some(StreamEnd::Closed)
    }

    /// Decrypts bytes of the server, and calls `on_data` with the data of each record.
    ///
    /// # Errors
    ///
    /// Returns an error if a record is invalid or if the key is not trusted. The alert for the
    /// server is then in the output.
    pub fn read(&mut self, bytes: &[u8], on_data: impl FnMut(&[u8])) -> io::Result<()> {
        match self.end {
            None => {}
            Some(StreamEnd::Closed) => return Ok(()),
            Some(StreamEnd::Failed) => return Err(other(rustls::Error::EncryptError)),
        }
        self.input.extend_from_slice(bytes);
        let is_handshaking = self.is_handshaking();
        let Err(error) = self.process(on_data) else { return Ok(()) };
        self.end = Some(StreamEnd::Failed);
        self.encode_alert();
        let text = match error {
            rustls::Error::InvalidMessage(_) if is_handshaking => {
                "the server does not speak TLS 1.3"
            }
            rustls::Error::InvalidCertificate(
                CertificateError::Other(_) | CertificateError::BadEncoding,
            ) => "the certificate of the server is not valid, expected X.509 version 3",
            error => return Err(other(error)),
        };
        Err(io::Error::new(io::ErrorKind::InvalidData, text))
    }

    /// Returns the error of a handshake: the reason why the key is not trusted, or else `error`.
    pub fn handshake_error(&self, address: ServerAddress, error: io::Error) -> Error {
        match self.verifier.untrusted_key() {
            None => Error::Connect(address, error),
            Some(UntrustedKey::Changed { found }) => Error::KeyChanged {
                address,
                expected: self.verifier.pins().iter().map(ToString::to_string).collect(),
                found: found.to_string(),
            },
            Some(UntrustedKey::Unknown { found, cause }) => {
                Error::UnknownKey { address, found: found.to_string(), cause: cause.clone() }
            }
        }
    }

    /// Encrypts the start of `data` if no other record waits, and removes it from `data`.
    pub fn encrypt(&mut self, data: &mut Vec<u8>) {
        if self.end == Some(StreamEnd::Failed) {
            data.clear();
        }
        if data.is_empty() || !self.output.is_empty() || self.is_handshaking() {
            return;
        }
        let count = data.len().min(MAX_PLAIN_BYTES);
        let record = data.get(..count).unwrap_or_default();
        let status = self.connection.process_tls_records(&mut self.input);
        if let Ok(ConnectionState::WriteTraffic(mut traffic)) = status.state {
            let encrypt = |buffer: &mut [u8]| traffic.encrypt(record, buffer);
            append(&mut self.output, count + RECORD_OVERHEAD, encrypt);
        }
        if self.output.is_empty() {
            // Seen by the next read.
            self.end = Some(StreamEnd::Failed);
        }
        data.drain(..count);
    }

    /// Appends close_notify to the output: this side sends no more data.
    pub fn close(&mut self) {
        if self.end == Some(StreamEnd::Failed) || self.is_handshaking() {
            return;
        }
        let status = self.connection.process_tls_records(&mut self.input);
        if let Ok(ConnectionState::WriteTraffic(mut traffic)) = status.state {
            let close = |buffer: &mut [u8]| traffic.queue_close_notify(buffer);
            append(&mut self.output, RECORD_OVERHEAD, close);
        }
    }

    /// Returns the records that wait to be sent. The caller removes those that it has sent.
    pub fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    /// Appends the alert about an error to the output.
    fn encode_alert(&mut self) {
        // rustls panics if it looks at other input after an error, which it does without output.
        while self.connection.wants_write() {
            let status = self.connection.process_tls_records(&mut self.input);
            let Ok(ConnectionState::EncodeTlsData(mut data)) = status.state else { return };
            append(&mut self.output, RECORD_OVERHEAD, |buffer| data.encode(buffer));
        }
    }

    /// Handles all whole records of the input.
    fn process(&mut self, mut on_data: impl FnMut(&[u8])) -> Result<(), rustls::Error> {
        let mut used = 0;
        let result = loop {
            let input = self.input.get_mut(used..).unwrap_or_default();
            let UnbufferedStatus { mut discard, state } =
                self.connection.process_tls_records(input);
            let is_done = match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(Ok(record)) = traffic.next_record() {
                        discard += record.discard;
                        on_data(record.payload);
                    }
                    false
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    append(&mut self.output, RECORD_OVERHEAD, |buffer| data.encode(buffer));
                    false
                }
                Ok(ConnectionState::TransmitTlsData(data)) => {
                    data.done();
                    false
                }
                Ok(ConnectionState::PeerClosed) => {
                    self.end.get_or_insert(StreamEnd::Closed);
                    false
                }
                Ok(_) => true,
                Err(error) => break Err(error),
            };
            used += discard;
            if is_done {
                break Ok(());
            }
        };
        self.input.drain(..used.min(self.input.len()));
        result
    }
}

impl fmt::Debug for TlsStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsStream").field("end", &self.end).finish_non_exhaustive()
    }
}

/// An error that may be a buffer that is too small.
trait MaybeTooSmall {
    /// Returns the number of bytes that are needed.
    fn required_size(&self) -> Option<usize>;
}

impl MaybeTooSmall for EncodeError {
    fn required_size(&self) -> Option<usize> {
        match self {
            EncodeError::InsufficientSize(InsufficientSizeError { required_size }) => {
                Some(*required_size)
            }
            EncodeError::AlreadyEncoded => None,
        }
    }
}

impl MaybeTooSmall for EncryptError {
    fn required_size(&self) -> Option<usize> {
        match self {
            EncryptError::InsufficientSize(InsufficientSizeError { required_size }) => {
                Some(*required_size)
            }
            EncryptError::EncryptExhausted => None,
        }
    }
}

/// Appends the bytes that `write` writes into a buffer, which it gets again if it needs more than
/// `size` bytes.
fn append<E: MaybeTooSmall>(
    output: &mut Vec<u8>,
    size: usize,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, E>,
) {
    let start = output.len();
    output.resize(start + size, 0);
    let mut result = write(output.get_mut(start..).unwrap_or_default());
    if let Err(error) = &result
        && let Some(size) = error.required_size()
    {
        output.resize(start + size, 0);
        result = write(output.get_mut(start..).unwrap_or_default());
    }
    output.truncate(start + result.unwrap_or(0));
}

/// Returns the name that is sent to the server and that its certificate must have.
fn server_name(host: &str) -> io::Result<ServerName<'static>> {
    // An IPv6 address may have a zone.
    let name = host.split('%').next().unwrap_or(host);
    let name = ServerName::try_from(name.to_owned());
    name.map_err(|InvalidDnsNameError| {
        let text = format!("{host:?} is not the name of a host");
        io::Error::new(io::ErrorKind::InvalidInput, text)
    })
}

/// Returns an error of rustls, whose type is an error only with its feature `std`.
fn other(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("TLS: {error}"))
}

#[cfg(test)]
mod tests;
