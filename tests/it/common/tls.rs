//! A client of TLS on a socket.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use rustls::CipherSuite;
use serde_json::{Value, json};

use super::test_client::find_frame;
use super::tls_peer::TlsPeer;
use super::{TIMEOUT, parse};

/// A connection to a server that speaks TLS.
pub struct TlsClient {
    pub stream: TcpStream,
    peer: TlsPeer,
    /// The stream has ended.
    is_at_end: bool,
}

impl TlsClient {
    /// Connects, and trusts the certificate of a PEM file.
    #[track_caller]
    pub fn connect(address: &str, pem: &[u8]) -> Self {
        let mut client = Self::start(address, pem, &[]);
        client.handshake(b"");
        client
    }

    /// Connects, and sends nothing.
    #[track_caller]
    pub fn start(address: &str, pem: &[u8], suites: &[CipherSuite]) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        stream.set_write_timeout(Some(TIMEOUT)).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut peer = TlsPeer::new(pem, suites);
        peer.read(&[]).unwrap();
        TlsClient { stream, peer, is_at_end: false }
    }

    /// Performs the handshake. Sends data in the flight of the last message.
    #[track_caller]
    pub fn handshake(&mut self, early: &[u8]) {
        let hello = self.peer.take_outgoing();
        self.stream.write_all(&hello).unwrap();
        let deadline = Instant::now() + TIMEOUT;
        let mut last = Vec::new();
        while last.is_empty() {
            assert!(self.read(), "the server has closed the connection");
            assert!(Instant::now() < deadline, "no handshake in {TIMEOUT:?}");
            last = self.peer.take_outgoing();
        }
        if !early.is_empty() {
            self.peer.send(early);
            last.extend(self.peer.take_outgoing());
        }
        self.stream.write_all(&last).unwrap();
    }

    /// Returns the first message, which is then not sent.
    pub fn take_hello(&mut self) -> Vec<u8> {
        self.peer.take_outgoing()
    }

    #[track_caller]
    pub fn send(&mut self, data: &[u8]) {
        self.peer.send(data);
        self.flush();
    }

    /// Returns data as a record, which is then not sent.
    pub fn encrypt(&mut self, data: &[u8]) -> Vec<u8> {
        self.peer.send(data);
        self.peer.take_outgoing()
    }

    #[track_caller]
    pub fn say(&mut self, line: &str) {
        self.send(format!("{line}\n").as_bytes());
    }

    /// Changes the keys, and asks for new ones of the server.
    #[track_caller]
    pub fn update_keys(&mut self) {
        self.peer.update_keys();
        self.flush();
    }

    /// Ends the data of the client.
    #[track_caller]
    pub fn close(&mut self) {
        self.peer.close();
        self.flush();
    }

    /// Joins with a name, and reads up to the client's own join.
    #[track_caller]
    pub fn hello(&mut self, name: &str) {
        self.say(&json!({ "hello": { "name": name } }).to_string());
        self.recv_until(|frame| frame["kind"] == "join" && frame["names"][0] == name);
    }

    /// Returns the next line, or nothing at the end of the data, which is that of TLS.
    #[track_caller]
    pub fn recv_line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.peer.data.iter().position(|&byte| byte == b'\n') {
                let line = self.peer.data.drain(..=end).take(end).collect();
                return Some(String::from_utf8(line).unwrap());
            }
            if self.peer.is_closed {
                assert!(self.peer.data.is_empty());
                return None;
            }
            assert!(self.read(), "the stream ends without close_notify");
        }
    }

    /// Returns the next bytes of data.
    #[cfg(feature = "web")]
    #[track_caller]
    pub fn recv_bytes(&mut self, count: usize) -> Vec<u8> {
        while self.peer.data.len() < count {
            assert!(self.read(), "the stream ends");
        }
        self.peer.data.drain(..count).collect()
    }

    #[track_caller]
    pub fn recv(&mut self) -> Value {
        parse(&self.recv_line().expect("a line instead of the end of the data"))
    }

    /// Returns the next frame that matches, and discards those before it.
    #[track_caller]
    pub fn recv_until(&mut self, matches: impl FnMut(&Value) -> bool) -> Value {
        find_frame(|| self.recv(), matches)
    }

    /// Reads up to a `bye` with this code, and checks that the data and the stream end there.
    #[track_caller]
    pub fn expect_bye(&mut self, code: &str) {
        let bye = self.recv_until(|frame| frame["kind"] == "bye");
        assert_eq!(bye["code"], code, "{bye}");
        assert_eq!(self.recv_line(), None);
        while self.read() {}
        assert!(self.is_at_end);
    }

    fn flush(&mut self) {
        let bytes = self.peer.take_outgoing();
        self.stream.write_all(&bytes).unwrap();
    }

    /// Reads once, and returns whether there was something.
    #[track_caller]
    fn read(&mut self) -> bool {
        let mut buffer = [0; 16 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(0) => self.is_at_end = true,
            Ok(count) => self.peer.read(&buffer[..count]).unwrap(),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                panic!("nothing in {TIMEOUT:?}")
            }
            Err(error) => panic!("the connection broke: {error}"),
        }
        !self.is_at_end
    }
}
