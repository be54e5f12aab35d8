//! An HTTP client, and a WebSocket client that has no code in common with the server.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::Value;

use super::{TIMEOUT, parse};

/// The fixed key of all handshakes here, and the answer to it from RFC 6455, section 1.3.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
const MASK: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

/// A response of the server.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    /// The status line and the header fields, with their names in small letters.
    pub head: String,
    pub body: Vec<u8>,
}

impl Response {
    /// Returns the value of a header field.
    pub fn field(&self, name: &str) -> Option<&str> {
        let prefix = format!("{name}: ");
        self.head.lines().find_map(|line| line.strip_prefix(&prefix))
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// Connects to an address.
#[track_caller]
pub fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Sends bytes, and returns everything that the server sends until it ends the connection.
#[track_caller]
pub fn exchange(address: &str, request: &[u8]) -> Vec<u8> {
    let mut stream = connect(address);
    stream.write_all(request).unwrap();
    read_all(&mut stream)
}

/// Returns everything that the server sends until it ends the connection.
#[track_caller]
pub fn read_all(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    bytes
}

/// Sends a request, and returns the response.
#[track_caller]
pub fn request(address: &str, request: &str) -> Response {
    parse_response(&exchange(address, request.as_bytes()))
}

/// Sends a GET request for a path from a browser that was told this address, with more header
/// fields.
#[track_caller]
pub fn get(address: &str, path: &str, fields: &str) -> Response {
    request(address, &format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n{fields}\r\n"))
}

/// Parses a whole response.
#[track_caller]
pub fn parse_response(bytes: &[u8]) -> Response {
    let end = bytes.windows(4).position(|end| end == b"\r\n\r\n");
    let end = end.unwrap_or_else(|| panic!("no response: {}", bytes.escape_ascii()));
    let head = str::from_utf8(&bytes[..end]).unwrap();
    let status = head.strip_prefix("HTTP/1.1 ").unwrap()[..3].parse().unwrap();
    let lower = |line: &str| match line.split_once(": ") {
        Some((name, value)) => format!("{}: {value}\n", name.to_ascii_lowercase()),
        None => format!("{line}\n"),
    };
    Response { status, head: head.lines().map(lower).collect(), body: bytes[end + 4..].to_vec() }
}

/// A frame of the server.
#[derive(Debug, PartialEq)]
pub enum Message {
    Text(String),
    Pong(Vec<u8>),
    /// A close frame with its code.
    Close(Option<u16>),
}

/// A WebSocket client.
pub struct WebSocket {
    stream: TcpStream,
    /// Lines of messages that were received.
    lines: VecDeque<String>,
}

impl WebSocket {
    /// Connects as a browser does that got the page from this address.
    #[track_caller]
    pub fn open(address: &str) -> Self {
        Self::open_with(address, &format!("Origin: http://{address}\r\n"))
    }

    /// Connects with more header fields.
    #[track_caller]
    pub fn open_with(address: &str, fields: &str) -> Self {
        let mut stream = connect(address);
        stream.write_all(handshake(address, fields).as_bytes()).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let response = parse_response(&head);
        assert_eq!(response.status, 101, "{}", response.head);
        assert_eq!(response.field("sec-websocket-accept"), Some(ACCEPT));
        WebSocket { stream, lines: VecDeque::new() }
    }

    /// Connects and joins with a name. Returns the welcome, too.
    #[track_caller]
    pub fn join(address: &str, name: &str) -> (Self, Value) {
        let mut client = Self::open(address);
        client.send(&format!(r#"{{"hello":{{"name":"{name}"}}}}"#));
        let welcome = client.recv();
        assert_eq!(welcome["kind"], "welcome", "{welcome}");
        (client, welcome)
    }

    /// Sends a text message.
    #[track_caller]
    pub fn send(&mut self, text: &str) {
        self.send_frame(0x81, text.as_bytes());
    }

    /// Sends a masked frame whose first byte is `first`.
    #[track_caller]
    pub fn send_frame(&mut self, first: u8, payload: &[u8]) {
        self.send_raw(&frame(first, payload));
    }

    #[track_caller]
    pub fn send_raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Returns the next frame.
    #[track_caller]
    pub fn recv_message(&mut self) -> Message {
        let mut read = |count: usize| {
            let mut bytes = vec![0; count];
            self.stream.read_exact(&mut bytes).expect("a frame");
            bytes
        };
        let head = read(2);
        let length = match head[1] {
            126 => u16::from_be_bytes(read(2).try_into().unwrap()) as usize,
            127 => u64::from_be_bytes(read(8).try_into().unwrap()) as usize,
            length => usize::from(length),
        };
        let payload = read(length);
        match head[0] {
            0x81 => Message::Text(String::from_utf8(payload).expect("text in UTF-8")),
            0x8A => Message::Pong(payload),
            0x88 => Message::Close(payload.try_into().ok().map(u16::from_be_bytes)),
            first => panic!("unexpected frame {first:#x}"),
        }
    }

    /// Returns the next JSON frame of the room.
    #[track_caller]
    pub fn recv(&mut self) -> Value {
        while self.lines.is_empty() {
            match self.recv_message() {
                Message::Text(text) => {
                    assert!(text.ends_with('\n'), "{text}");
                    self.lines.extend(text.lines().map(str::to_owned));
                }
                other => panic!("unexpected {other:?}"),
            }
        }
        parse(&self.lines.pop_front().unwrap())
    }

    /// Returns the next JSON frame of a kind, and discards those before it.
    #[track_caller]
    pub fn recv_kind(&mut self, kind: &str) -> Value {
        loop {
            let frame = self.recv();
            if frame["kind"] == kind {
                return frame;
            }
        }
    }

    /// Checks that a `bye` with one code is next, then a close frame with the other one, and then
    /// the end of the stream.
    #[track_caller]
    pub fn expect_end(&mut self, bye: &str, close: Option<u16>) -> Value {
        let frame = self.recv_kind("bye");
        assert_eq!(frame["code"], bye, "{frame}");
        assert_eq!(self.recv_message(), Message::Close(close));
        assert_eq!(self.stream.read(&mut [0]).unwrap(), 0);
        frame
    }
}

/// Returns the request for a WebSocket.
pub fn handshake(address: &str, fields: &str) -> String {
    format!(
        "GET /ws HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: keep-alive, \
         Upgrade\r\nSec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n{fields}\r\n"
    )
}

/// Returns a masked frame whose first byte is `first`.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        length @ 0..126 => bytes.push(0x80 | length as u8),
        length @ 126..0x1_0000 => {
            bytes.push(0x80 | 126);
            bytes.extend((length as u16).to_be_bytes());
        }
        length => {
            bytes.push(0x80 | 127);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    bytes.extend(MASK);
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}
