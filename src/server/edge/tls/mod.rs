//! The TLS edge: TLS 1.3 on the same port. No I/O but the files of the certificate.
//!
//! A connection whose first byte is that of a TLS record is read by a [`Handshake`]. At its end the
//! connection is split: a [`Seal`] encrypts the output of the broadcaster, and an [`Opener`] decrypts
//! the input of the connection task. rustls does all cryptography; this module frames the records and
//! counts them. The secrets have the form that the TLS of the Linux kernel takes, which is not used.

mod acceptor;
mod certificate;
mod config;
mod der;
mod handshake;
mod open;
mod provider;
mod record;
mod seal;

pub(crate) use acceptor::{Acceptor, HandshakePermit};
pub use certificate::{Certificate, CertificateError};
use certificate::{MAX_CHAIN_BYTES, MAX_FILE_BYTES};
pub use config::Config;
pub use handshake::{Established, Handshake, HandshakeFailure, HandshakeStep};
pub use open::{InputEnd, OpenedRecords, Opener};
pub use provider::server_config;
pub use record::{
    ACCESS_DENIED, CLOSE_NOTIFY, INTERNAL_ERROR, MAX_PLAIN_BYTES, MAX_RECORD_BYTES, plain_alert,
};
pub use seal::{MAX_RECORDS, Seal};

/// The first byte of a TLS handshake.
pub const FIRST_BYTE: u8 = 0x16;
/// Handshakes at the same time. Further ones wait for a permit.
pub const MAX_HANDSHAKES: usize = 64;
/// The most memory of a connection: both keys, the secrets of the next ones, and a record in each
/// direction.
pub const CONNECTION_BYTES: usize = 3 * 1024 + 2 * MAX_RECORD_BYTES;
/// The most memory of a handshake: its state and its input, and three times the certificates, which
/// rustls encodes into a message and encrypts.
pub const HANDSHAKE_BYTES: usize = 20 * 1024 + 3 * MAX_CHAIN_BYTES;
/// The most memory for the files of a certificate while they are read.
pub const CERTIFICATE_BYTES: usize = 3 * MAX_FILE_BYTES;

/// An event of a connection that speaks TLS, for the broadcaster.
#[derive(Debug)]
pub enum TlsEvent {
    /// The first byte of the client is that of a handshake.
    Begun,
    /// The client is sent these bytes of the handshake.
    Flight(Vec<u8>),
    /// The handshake is done: from now on the client is sent records.
    Established(Box<Seal>),
    /// The client has new keys, and the server changes its own.
    KeyUpdate(Box<Seal>),
    /// The handshake or a record is invalid. The client is sent an alert: these bytes during the
    /// handshake, or one with this code.
    Failed {
        /// The cause, for the log.
        cause: String,
        /// The bytes of the alert, during the handshake.
        flight: Vec<u8>,
        /// The code of the alert, after the handshake.
        alert: u8,
    },
}

#[cfg(test)]
pub(crate) mod tests;
