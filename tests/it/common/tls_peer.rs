//! A client of TLS without a socket: bytes of the server in, bytes for the server out.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    dead_code,
    reason = "used by tests and benches, each of which needs a part"
)]

use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::client::UnbufferedClientConnection;
use rustls::crypto::cipher::InboundOpaqueMessage;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncryptError, InsufficientSizeError, WriteTraffic,
};
use rustls::version::TLS13;
use rustls::{
    CipherSuite, ClientConfig, ConnectionTrafficSecrets, ContentType, ProtocolVersion,
    RootCertStore,
};

#[derive(Debug)]
struct Clock;

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        Some(UnixTime::since_unix_epoch(now))
    }
}

/// A client of TLS that trusts one certificate.
pub struct TlsPeer {
    connection: UnbufferedClientConnection,
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
    /// The data of the server.
    pub data: Vec<u8>,
    /// The server has ended its data.
    pub is_closed: bool,
}

impl TlsPeer {
    /// Creates a client that trusts the certificates of a PEM file, and offers these cipher suites,
    /// or all.
    pub fn new(pem: &[u8], suites: &[CipherSuite]) -> Self {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            roots.add(certificate.unwrap()).unwrap();
        }
        let mut provider = default_provider();
        if !suites.is_empty() {
            provider.cipher_suites.retain(|suite| suites.contains(&suite.suite()));
        }
        let mut config = ClientConfig::builder_with_details(Arc::new(provider), Arc::new(Clock))
            .with_protocol_versions(&[&TLS13])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.enable_secret_extraction = true;
        let name = ServerName::try_from("localhost").unwrap();
        let connection = UnbufferedClientConnection::new(Arc::new(config), name).unwrap();
        let (incoming, outgoing, data) = (Vec::new(), Vec::new(), Vec::new());
        TlsPeer { connection, incoming, outgoing, data, is_closed: false }
    }

    pub fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// Reads bytes of the server. Returns the error with which they end the connection.
    pub fn read(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.incoming.extend_from_slice(bytes);
        let result = self.process(|_, _| None);
        result.map(|_| ()).map_err(|error| io::Error::other(error.to_string()))
    }

    /// Encrypts data.
    pub fn send(&mut self, data: &[u8]) {
        self.with_traffic(|mut traffic, out| {
            write(|buffer| traffic.encrypt(data, buffer), out);
        });
    }

    /// Ends the data of the client.
    pub fn close(&mut self) {
        self.with_traffic(|mut traffic, out| {
            write(|buffer| traffic.queue_close_notify(buffer), out);
        });
    }

    /// Changes the keys of the client, and asks for new ones of the server.
    pub fn update_keys(&mut self) {
        self.with_traffic(|traffic, _| traffic.refresh_traffic_keys().unwrap());
        self.process(|_, _| None).unwrap();
    }

    /// Removes and returns the bytes for the server.
    pub fn take_outgoing(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.outgoing)
    }

    /// Decrypts the bytes of the server from a number of records on, and returns their contents,
    /// without those of alerts.
    pub fn decrypt_from(self, mut records: u64, mut bytes: Vec<u8>) -> Vec<u8> {
        let (secrets, kernel) = self.connection.dangerous_into_kernel_connection().unwrap();
        let (ConnectionTrafficSecrets::Aes128Gcm { key, iv }
        | ConnectionTrafficSecrets::Aes256Gcm { key, iv }
        | ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv }) = secrets.rx.1
        else {
            panic!("another cipher suite")
        };
        let suite = kernel.negotiated_cipher_suite().tls13().unwrap();
        let mut decrypter = suite.aead_alg.decrypter(key, iv);
        let mut data = Vec::new();
        let mut rest = &mut bytes[..];
        while !rest.is_empty() {
            let length = 5 + usize::from(u16::from_be_bytes([rest[3], rest[4]]));
            let (record, later) = rest.split_at_mut(length);
            rest = later;
            let message = InboundOpaqueMessage::new(
                ContentType::ApplicationData,
                ProtocolVersion::TLSv1_2,
                &mut record[5..],
            );
            let plain = decrypter.decrypt(message, records).unwrap();
            records += 1;
            if plain.typ == ContentType::ApplicationData {
                data.extend_from_slice(plain.payload);
            }
        }
        data
    }

    fn with_traffic(
        &mut self,
        mut apply: impl FnMut(WriteTraffic<'_, rustls::client::ClientConnectionData>, &mut Vec<u8>),
    ) {
        let mut is_applied = false;
        self.process(|traffic, out| {
            is_applied = true;
            apply(traffic, out);
            Some(())
        })
        .unwrap();
        assert!(is_applied, "the handshake is not done");
    }

    /// Processes all bytes of the server. Calls `apply` once data can be sent.
    fn process(
        &mut self,
        mut apply: impl FnMut(
            WriteTraffic<'_, rustls::client::ClientConnectionData>,
            &mut Vec<u8>,
        ) -> Option<()>,
    ) -> Result<Option<()>, rustls::Error> {
        loop {
            let status = self.connection.process_tls_records(&mut self.incoming);
            let discard = status.discard;
            let result = match status.state? {
                ConnectionState::ReadTraffic(mut traffic) => {
                    while let Some(record) = traffic.next_record() {
                        self.data.extend_from_slice(record?.payload);
                    }
                    None
                }
                ConnectionState::EncodeTlsData(mut data) => {
                    let start = self.outgoing.len();
                    if let Err(EncodeError::InsufficientSize(InsufficientSizeError {
                        required_size,
                    })) = data.encode(&mut [])
                    {
                        self.outgoing.resize(start + required_size, 0);
                        data.encode(&mut self.outgoing[start..]).unwrap();
                    }
                    None
                }
                ConnectionState::TransmitTlsData(data) => {
                    data.done();
                    None
                }
                ConnectionState::PeerClosed => {
                    self.is_closed = true;
                    None
                }
                ConnectionState::WriteTraffic(traffic) => Some(apply(traffic, &mut self.outgoing)),
                _ => Some(None),
            };
            self.incoming.drain(..discard);
            if let Some(result) = result {
                return Ok(result);
            }
        }
    }
}

/// Appends bytes that `encrypt` writes to a buffer of the right size.
fn write(mut encrypt: impl FnMut(&mut [u8]) -> Result<usize, EncryptError>, out: &mut Vec<u8>) {
    let start = out.len();
    let Err(EncryptError::InsufficientSize(InsufficientSizeError { required_size })) =
        encrypt(&mut [])
    else {
        return;
    };
    out.resize(start + required_size, 0);
    let written = encrypt(&mut out[start..]).unwrap();
    out.truncate(start + written);
}

/// Changes a message: cuts out, doubles or appends a piece, or inserts or replaces a byte.
pub fn change_bytes(bytes: &mut Vec<u8>, at: usize, length: usize, byte: u8, kind: u8) {
    let at = at % (bytes.len() + 1);
    let end = (at + length).min(bytes.len());
    let piece = bytes[at..end].to_vec();
    match kind % 5 {
        0 => drop(bytes.drain(at..end)),
        1 => drop(bytes.splice(at..at, piece)),
        2 => bytes.insert(at, byte),
        3 => bytes.extend(piece),
        _ => bytes.iter_mut().skip(at).take(1).for_each(|old| *old = byte),
    }
}
