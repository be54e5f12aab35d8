//! Feeds a stream with the bytes of a server, whole, in pieces and damaged.

use rustls::ServerConfig;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ParsedCertificate, UnbufferedServerConnection};
use rustls::sign::{CertifiedKey, SingleCertAndKey};

use super::*;
use crate::tls::Fingerprint;

const PEM: &[u8] = include_bytes!("../../../../tests/it/tls/self.pem");

fn settings() -> TlsSettings {
    let certificate = CertificateDer::from_pem_slice(PEM).unwrap();
    let parsed = ParsedCertificate::try_from(&certificate).unwrap();
    let pins = vec![Fingerprint::of_spki(&parsed.subject_public_key_info())];
    TlsSettings { pins, ..TlsSettings::default() }
}

/// A server that answers in memory.
struct Server {
    connection: UnbufferedServerConnection,
    input: Vec<u8>,
}

impl Server {
    fn new() -> Self {
        let certificate = CertificateDer::from_pem_slice(PEM).unwrap();
        let key = any_supported_type(&PrivateKeyDer::from_pem_slice(PEM).unwrap()).unwrap();
        let key = SingleCertAndKey::from(CertifiedKey::new(vec![certificate], key));
        let builder =
            ServerConfig::builder_with_details(Arc::new(provider()), Arc::new(SystemClock));
        let builder = builder.with_protocol_versions(&[&TLS13]).unwrap().with_no_client_auth();
        let mut config = builder.with_cert_resolver(Arc::new(key));
        // With the feature `std` of rustls, which other crates enable, there are two by default.
        config.send_tls13_tickets = 0;
        let connection = UnbufferedServerConnection::new(Arc::new(config)).unwrap();
        Server { connection, input: Vec::new() }
    }

    /// Reads the output of the client. Returns the data of the client and the bytes for it, with
    /// `data` at their end once the handshake is complete.
    fn answer(&mut self, client: &mut TlsStream, data: &[u8]) -> (Vec<u8>, Vec<u8>) {
        self.input.append(client.output());
        let (mut received, mut output) = (Vec::new(), Vec::new());
        loop {
            let UnbufferedStatus { discard, state } =
                self.connection.process_tls_records(&mut self.input);
            let is_done = match state.unwrap() {
                ConnectionState::ReadTraffic(mut traffic) => {
                    while let Some(record) = traffic.next_record() {
                        received.extend_from_slice(record.unwrap().payload);
                    }
                    false
                }
                ConnectionState::EncodeTlsData(mut data) => {
                    append(&mut output, RECORD_OVERHEAD, |buffer| data.encode(buffer));
                    false
                }
                ConnectionState::TransmitTlsData(data) => {
                    data.done();
                    false
                }
                ConnectionState::WriteTraffic(mut traffic) => {
                    append(&mut output, RECORD_OVERHEAD, |buffer| traffic.encrypt(data, buffer));
                    true
                }
                _ => true,
            };
            self.input.drain(..discard);
            if is_done {
                return (received, output);
            }
        }
    }
}

/// Returns the positions of the versions in the headers of records, which a client ignores.
fn version_bytes(records: &[u8]) -> Vec<usize> {
    let (mut start, mut positions) = (0, Vec::new());
    while let Some(&[_, _, _, high, low]) = records.get(start..start + 5) {
        positions.extend([start + 1, start + 2]);
        start += 5 + usize::from(u16::from_be_bytes([high, low]));
    }
    positions
}

/// Completes a handshake.
fn connect() -> (TlsStream, Server) {
    let mut client = TlsStream::new("router:8080", "router", &settings()).unwrap();
    let mut server = Server::new();
    let (_, flight) = server.answer(&mut client, b"");
    client.read(&flight, |_| {}).unwrap();
    assert!(!client.is_handshaking());
    (client, server)
}

#[test]
fn bytes_may_arrive_one_by_one() {
    let mut client = TlsStream::new("router:8080", "router", &settings()).unwrap();
    let mut server = Server::new();
    let (_, flight) = server.answer(&mut client, b"");
    for byte in flight {
        assert!(client.is_handshaking());
        client.read(&[byte], |_| {}).unwrap();
    }
    client.encrypt(&mut b"hello".to_vec());
    let (received, records) = server.answer(&mut client, b"welcome");
    assert!(received.is_empty() || received == b"hello");
    let mut data = Vec::new();
    records
        .iter()
        .for_each(|byte| client.read(&[*byte], |part| data.extend_from_slice(part)).unwrap());
    assert_eq!(data, b"welcome");
}

#[test]
fn damaged_handshake_is_an_error_or_incomplete() {
    let mut client = TlsStream::new("router:8080", "router", &settings()).unwrap();
    let flight = Server::new().answer(&mut client, b"").1;
    let (length, ignored) = (flight.len(), version_bytes(&flight));
    for index in (0..length).step_by(5) {
        for (keep, flip) in [(length, 0x01), (length, 0x80), (index, 0)] {
            let mut client = TlsStream::new("router:8080", "router", &settings()).unwrap();
            let (_, mut flight) = Server::new().answer(&mut client, b"");
            flight.truncate(keep);
            if let Some(byte) = flight.get_mut(index) {
                *byte ^= flip;
            }
            let result = client.read(&flight, |_| panic!("data of an invalid handshake"));
            let is_ignored = ignored.contains(&index);
            assert!(result.is_err() || client.is_handshaking() || is_ignored, "byte {index}");
            // The bytes behind it are not read, and an alert alone is sent.
            let _ = client.read(&flight, |_| panic!("data of an invalid handshake"));
            client.encrypt(&mut b"secret".to_vec());
            client.close();
        }
    }
}

#[test]
fn damaged_record_is_an_error() {
    let length = {
        let (mut client, mut server) = connect();
        server.answer(&mut client, b"hello").1.len()
    };
    // The bytes of the version are ignored (RFC 8446, section 5.1).
    for index in (0..length).filter(|index| ![1, 2].contains(index)) {
        let (mut client, mut server) = connect();
        let (_, mut record) = server.answer(&mut client, b"hello");
        record[index] ^= 0x10;
        let mut data = Vec::new();
        let result = client.read(&record, |part| data.extend_from_slice(part));
        // A record of another length is incomplete.
        assert!(data.is_empty() && (result.is_err() || index == 3 || index == 4), "byte {index}");
    }
}

#[test]
fn long_data_is_sent_in_several_records() {
    let (mut client, mut server) = connect();
    server.answer(&mut client, b"");
    let mut data = vec![b'x'; 3 * MAX_PLAIN_BYTES + 1];
    let mut received = Vec::new();
    for _ in 0..4 {
        client.encrypt(&mut data);
        assert!(client.output().len() <= MAX_PLAIN_BYTES + 64);
        received.extend(server.answer(&mut client, b"").0);
    }
    assert_eq!((data.len(), received.len()), (0, 3 * MAX_PLAIN_BYTES + 1));
}
