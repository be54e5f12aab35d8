//! The client's side of WebSocket (RFC 6455), for clients that only send.

/// First byte of a whole text message.
pub const TEXT: u8 = 0x81;
/// First byte of a whole binary message.
pub const BINARY: u8 = 0x82;

/// Returns the request of a browser for a WebSocket, with more header fields.
pub fn handshake(path: &str, fields: &str) -> Vec<u8> {
    format!(
        "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: http://127.0.0.1\r\n\
         Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{fields}\r\n"
    )
    .into_bytes()
}

/// Appends a message whose first byte is `first`. Its mask is zero, which leaves the payload
/// unchanged; the receiver still has to unmask it.
pub fn write_message(out: &mut Vec<u8>, first: u8, payload: &[u8]) {
    let length = u16::try_from(payload.len()).expect("a line is shorter than 64 KiB");
    out.push(first);
    if length < 126 {
        out.push(0x80 | length as u8);
    } else {
        out.push(0x80 | 126);
        out.extend(length.to_be_bytes());
    }
    out.extend([0; 4]);
    out.extend(payload);
}
