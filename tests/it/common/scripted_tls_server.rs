//! A server that speaks TLS and follows the script of a test.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use rustix::event::{PollFd, PollFlags, poll};
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ResolvesServerCert, UnbufferedServerConnection};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::unbuffered::{ConnectionState, UnbufferedStatus};
use rustls::version::TLS13;
use serde_json::{Value, json};
use smolchat::tls::{Fingerprint, SystemClock, provider};

use super::scripted_server::{HEARTBEAT_ANSWER, welcome};

/// A certificate with its key, from `tests/it/tls`.
#[derive(Clone, Copy, Debug)]
pub struct Identity(&'static [u8]);

pub const SERVER: Identity = Identity(include_bytes!("../tls/server.pem"));
pub const OTHER: Identity = Identity(include_bytes!("../tls/other.pem"));
pub const EXPIRED: Identity = Identity(include_bytes!("../tls/expired.pem"));
pub const SELF_SIGNED: Identity = Identity(include_bytes!("../tls/self.pem"));
pub const CA_FLAG: Identity = Identity(include_bytes!("../tls/ca_flag.pem"));
pub const VERSION_1: Identity = Identity(include_bytes!("../tls/version1.pem"));
/// The path of the certificate of the CA, for `SSL_CERT_FILE`.
pub const CA_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/tls/ca.pem");

impl Identity {
    /// Returns the fingerprint of the key.
    pub fn fingerprint(self) -> Fingerprint {
        let certificate = CertificateDer::from_pem_slice(self.0).unwrap();
        let parsed = rustls::server::ParsedCertificate::try_from(&certificate).unwrap();
        Fingerprint::of_spki(&parsed.subject_public_key_info())
    }

    fn config(self) -> Arc<ServerConfig> {
        let certificate = CertificateDer::from_pem_slice(self.0).unwrap();
        let key = any_supported_type(&PrivateKeyDer::from_pem_slice(self.0).unwrap()).unwrap();
        let key = CertifiedKey::new(vec![certificate], key);
        let resolver: Arc<dyn ResolvesServerCert> = Arc::new(SingleCertAndKey::from(key));
        let provider: Arc<CryptoProvider> = Arc::new(provider());
        let builder = ServerConfig::builder_with_details(provider, Arc::new(SystemClock));
        let builder = builder.with_protocol_versions(&[&TLS13]).unwrap().with_no_client_auth();
        let mut config = builder.with_cert_resolver(resolver);
        config.send_tls13_tickets = 0;
        Arc::new(config)
    }
}

/// A listener that runs a script for each connection, in a thread of its own.
pub struct ScriptedTlsServer {
    port: u16,
    connections: Arc<AtomicUsize>,
}

impl ScriptedTlsServer {
    /// Starts a server whose script gets the connections with a complete handshake.
    pub fn start(
        identity: impl Fn(usize) -> Identity + Clone + Send + 'static,
        script: impl Fn(TlsConnection) + Clone + Send + 'static,
    ) -> Self {
        Self::start_raw(move |number, stream| {
            let (identity, script) = (identity.clone(), script.clone());
            thread::spawn(move || {
                TlsConnection::handshake(number, stream, identity(number)).map(script)
            });
        })
    }

    /// Starts a server whose script gets the connections before the handshake.
    pub fn start_raw(script: impl Fn(usize, TcpStream) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                script(count.fetch_add(1, Ordering::SeqCst), stream);
            }
        });
        ScriptedTlsServer { port, connections }
    }

    /// Returns the address for `smolchat`.
    pub fn address(&self) -> String {
        format!("tls:127.0.0.1:{}", self.port)
    }

    /// Returns the address without `tls:`.
    pub fn plain_address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Returns the number of connections so far.
    pub fn connection_count(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// An encrypted connection of a client.
pub struct TlsConnection {
    /// The number of the connection, from 0.
    pub number: usize,
    pub stream: TcpStream,
    connection: UnbufferedServerConnection,
    input: Vec<u8>,
    /// Decrypted bytes that are not returned yet.
    received: Vec<u8>,
    /// Whether the client has said that it sends no more data.
    pub is_closed: bool,
}

impl TlsConnection {
    /// Completes the handshake. Returns nothing if the client ends it.
    pub fn handshake(number: usize, stream: TcpStream, identity: Identity) -> Option<Self> {
        let connection = UnbufferedServerConnection::new(identity.config()).unwrap();
        let (input, received) = (Vec::new(), Vec::new());
        let mut connection =
            TlsConnection { number, stream, connection, input, received, is_closed: false };
        while connection.connection.is_handshaking() {
            connection.read()?;
        }
        Some(connection)
    }

    /// Reads from the socket. Returns nothing at the end, or after a timeout of the socket.
    fn read(&mut self) -> Option<()> {
        let mut buffer = [0; 4096];
        match self.stream.read(&mut buffer) {
            Ok(0) => None,
            Ok(count) => {
                self.input.extend_from_slice(&buffer[..count]);
                self.process()
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Some(()),
            Err(_) => None,
        }
    }

    /// Handles the input. Returns nothing if it is invalid.
    fn process(&mut self) -> Option<()> {
        let mut output = Vec::new();
        let result = loop {
            let UnbufferedStatus { discard, state } =
                self.connection.process_tls_records(&mut self.input);
            let is_done = match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(Ok(record)) = traffic.next_record() {
                        self.received.extend_from_slice(record.payload);
                    }
                    None
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    let mut buffer = vec![0; 16 << 10];
                    let count = data.encode(&mut buffer).unwrap();
                    output.extend_from_slice(&buffer[..count]);
                    None
                }
                Ok(ConnectionState::TransmitTlsData(data)) => {
                    data.done();
                    None
                }
                Ok(ConnectionState::PeerClosed) => {
                    self.is_closed = true;
                    None
                }
                Ok(_) => Some(true),
                Err(_) => Some(false),
            };
            self.input.drain(..discard);
            match is_done {
                None => {}
                Some(true) => break Some(()),
                Some(false) => break None,
            }
        };
        self.stream.write_all(&output).ok()?;
        result
    }

    /// Returns the records of some data.
    pub fn encrypt(&mut self, data: &[u8]) -> Vec<u8> {
        let mut buffer = vec![0; data.len() + 1024];
        let status = self.connection.process_tls_records(&mut self.input);
        let Ok(ConnectionState::WriteTraffic(mut traffic)) = status.state else {
            panic!("the connection is not established")
        };
        let count = traffic.encrypt(data, &mut buffer).unwrap();
        buffer.truncate(count);
        buffer
    }

    /// Sends a line. Returns false if the connection has ended.
    pub fn send(&mut self, line: &str) -> bool {
        let record = self.encrypt(format!("{line}\n").as_bytes());
        self.stream.write_all(&record).is_ok()
    }

    /// Changes the keys of this side.
    pub fn update_keys(&mut self) {
        let status = self.connection.process_tls_records(&mut self.input);
        let Ok(ConnectionState::WriteTraffic(traffic)) = status.state else {
            panic!("the connection is not established")
        };
        traffic.refresh_traffic_keys().unwrap();
        self.process().unwrap();
    }

    /// Says that this side sends no more data.
    pub fn close(&mut self) {
        let mut buffer = vec![0; 1024];
        let status = self.connection.process_tls_records(&mut self.input);
        if let Ok(ConnectionState::WriteTraffic(mut traffic)) = status.state {
            let count = traffic.queue_close_notify(&mut buffer).unwrap();
            self.stream.write_all(&buffer[..count]).unwrap();
        }
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Returns the next line of the client, or nothing at the end.
    pub fn recv(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.received.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.received.drain(..=end).collect();
                let line = String::from_utf8(line).unwrap();
                return Some(serde_json::from_str(&line).unwrap_or(json!(line.trim_end())));
            }
            if self.is_closed {
                return None;
            }
            self.read()?;
        }
    }

    /// Reads the hello and the heartbeat, and answers both. Returns the hello.
    pub fn welcome(&mut self, name: &str) -> Value {
        let hello = self.recv().unwrap_or_default();
        self.recv();
        self.accept(&hello, name);
        hello
    }

    /// Answers a hello and its heartbeat, which were read.
    pub fn accept(&mut self, hello: &Value, name: &str) {
        let mut welcome = welcome(name, self.number);
        welcome["epoch"] = "epoch".into();
        welcome["resumed"] = (!hello["hello"]["epoch"].is_null()).into();
        welcome["limits"]["max_line"] = (1 << 20).into();
        self.send(&format!("{welcome}\n{HEARTBEAT_ANSWER}"));
    }

    /// Answers lines until the end. Returns them.
    pub fn serve(&mut self) -> Vec<Value> {
        let mut lines = Vec::new();
        while let Some(line) = self.recv() {
            if line == "/quit" {
                let bye =
                    r#"{"data_source":"server","data":"bye","kind":"bye","code":"quit","seq":9}"#;
                self.send(bye);
                self.close();
            } else if line["id"] == "heartbeat" {
                self.send(HEARTBEAT_ANSWER);
            } else {
                let data = line["data"].as_str().unwrap_or_default();
                let info = json!({
                    "data_source": "server", "data": format!("echo {data}"), "kind": "info",
                    "id": line["id"],
                });
                self.send(&info.to_string());
            }
            lines.push(line);
        }
        lines
    }

    /// Relays between the client and a plain server until one of them ends. Data of the server is
    /// encrypted in records of at most `record` bytes.
    pub fn relay(mut self, server: &str, record: usize) {
        let Ok(mut server) = TcpStream::connect(server) else { return };
        let mut reader = server.try_clone().unwrap();
        for socket in [&self.stream, &server] {
            socket.set_nodelay(true).unwrap();
            socket.set_nonblocking(true).unwrap();
        }
        let mut output: Vec<u8> = Vec::new();
        let mut buffer = vec![0; record];
        loop {
            let flags =
                if output.is_empty() { PollFlags::IN } else { PollFlags::OUT | PollFlags::IN };
            let mut files = [PollFd::new(&self.stream, flags), PollFd::new(&server, PollFlags::IN)];
            poll(&mut files, None).unwrap();
            if self.read().is_none() || self.is_closed {
                break;
            }
            let data = std::mem::take(&mut self.received);
            server.set_nonblocking(false).unwrap();
            if server.write_all(&data).is_err() {
                break;
            }
            server.set_nonblocking(true).unwrap();
            if output.len() < 1 << 20 {
                match reader.read(&mut buffer) {
                    Ok(0) => {
                        let _ = self.stream.set_nonblocking(false);
                        let _ = self.stream.write_all(&output);
                        self.close();
                        break;
                    }
                    Ok(count) => {
                        let data = buffer[..count].to_vec();
                        output.extend(self.encrypt(&data));
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(_) => break,
                }
            }
            match self.stream.write(&output) {
                Ok(count) => drop(output.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => break,
            }
        }
        let _ = server.shutdown(Shutdown::Both);
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}
