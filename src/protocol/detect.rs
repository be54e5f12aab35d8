//! Detection of other protocols on the port.

/// A protocol that clients of other programs send to the port by mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtherProtocol {
    /// TLS, detected by its handshake.
    Tls,
    /// HTTP, detected by its request line.
    Http,
}

impl OtherProtocol {
    /// Detects another protocol in the first line of a connection, or in its first bytes.
    ///
    /// # Examples
    ///
    /// ```
    /// use smolchat::protocol::OtherProtocol;
    ///
    /// assert_eq!(OtherProtocol::detect(b"GET / HTTP/1.1"), Some(OtherProtocol::Http));
    /// assert_eq!(OtherProtocol::detect(b"hello"), None);
    /// ```
    pub fn detect(bytes: &[u8]) -> Option<OtherProtocol> {
        // The record type "handshake" and the major version of TLS.
        if bytes.starts_with(&[0x16, 0x03]) {
            return Some(OtherProtocol::Tls);
        }
        let mut words = bytes.split(|&byte| byte == b' ');
        let method = words.next()?;
        let version = words.nth(1)?;
        let is_request = !method.is_empty()
            && method.iter().all(u8::is_ascii_uppercase)
            && version.starts_with(b"HTTP/");
        is_request.then_some(OtherProtocol::Http)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_protocol_is_detected_by_first_bytes() {
        assert_eq!(OtherProtocol::detect(b"\x16\x03\x01\x02\x00\x01"), Some(OtherProtocol::Tls));
        assert_eq!(OtherProtocol::detect(b"GET / HTTP/1.1"), Some(OtherProtocol::Http));
        assert_eq!(OtherProtocol::detect(b"PRI * HTTP/2.0"), Some(OtherProtocol::Http));
        for line in ["GET", "GET /", "get / HTTP/1.1", "hello HTTP/1.1", ""] {
            assert_eq!(OtherProtocol::detect(line.as_bytes()), None, "{line}");
        }
    }
}
