//! Detection of other protocols, whose clients connect to the port by mistake.
//!
//! Detection sees the first bytes of a connection, before they are split into lines. It has to be
//! sure: text that a person may type is not another protocol. So words such as `NICK alice` count
//! only in capitals, with exactly the arguments of their protocol, and with CR LF at their end.

use std::fmt;

use super::ByeCode;
use OtherProtocol::{
    Http, Irc, Mqtt, PlainText, Postgres, Proxy, Rdp, Redis, Rtsp, Sip, Smb, Smtp, Socks, Ssh, Tls,
};

/// The signature of a PROXY header of version 2. It is the only one that contains a newline.
pub const PROXY_V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// The bytes by which a protocol is detected, and the offset at which they are.
const SIGNATURES: &[(usize, &[u8], OtherProtocol)] = &[
    // A handshake record, and the major version.
    (0, b"\x16\x03", Tls),
    (0, b"PROXY TCP4 ", Proxy),
    (0, b"PROXY TCP6 ", Proxy),
    (0, b"PROXY UNKNOWN ", Proxy),
    (0, b"PROXY UNKNOWN\r\n", Proxy),
    (0, PROXY_V2, Proxy),
    (0, b"SSH-1.", Ssh),
    (0, b"SSH-2.0-", Ssh),
    // After CONNECT and the length of the rest, which has one or two bytes: the name.
    (2, b"\0\x04MQTT", Mqtt),
    (3, b"\0\x04MQTT", Mqtt),
    (2, b"\0\x06MQIsdp", Mqtt),
    (3, b"\0\x06MQIsdp", Mqtt),
    // After the length: a request for TLS, and version 3 of the start.
    (4, b"\x04\xD2\x16\x2F", Postgres),
    (4, b"\0\x03\0\0", Postgres),
    // Version 3 of TPKT, and the high byte of its length.
    (0, b"\x03\0\0", Rdp),
    (4, b"\xFESMB", Smb),
    (4, b"\xFFSMB", Smb),
    // Version 5, and one or two methods, the first of which is "no authentication".
    (0, b"\x05\x01\0", Socks),
    (0, b"\x05\x02\0", Socks),
];

/// The versions that end the first line of a request, in protocols that look like HTTP.
const REQUEST_VERSIONS: &[(&[u8], OtherProtocol)] =
    &[(b"HTTP/", Http), (b"RTSP/", Rtsp), (b"SIP/", Sip)];

/// The most letters of a method. The longest of the standard methods has 17.
const MAX_METHOD: usize = 20;
/// The starts of a URL in an HTTP request, which a client sends to a proxy.
const HTTP_SCHEMES: &[&[u8]] = &[b"http://", b"https://"];

/// A protocol that clients of other programs send to the port by mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "cluster", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
#[allow(missing_docs, reason = "the names of the protocols")]
pub enum OtherProtocol {
    Tls,
    /// Plain text, from a client that has to use TLS. It is not detected.
    PlainText,
    Http,
    /// A PROXY header of version 1 or 2.
    Proxy,
    Ssh,
    Irc,
    Smtp,
    Rtsp,
    Sip,
    Redis,
    Mqtt,
    Postgres,
    Rdp,
    Smb,
    Socks,
}

impl OtherProtocol {
    /// Detects another protocol by the first bytes of a connection: all that have arrived while
    /// the first line is not complete, or with the bytes that complete it.
    ///
    /// # Examples
    ///
    /// ```
    /// use smolchat::protocol::OtherProtocol;
    ///
    /// assert_eq!(OtherProtocol::detect(b"GET / HTTP/1.1"), Some(OtherProtocol::Http));
    /// assert_eq!(OtherProtocol::detect(b"NICK alice\r\n"), Some(OtherProtocol::Irc));
    /// assert_eq!(OtherProtocol::detect(b"NICK alice\n"), None);
    /// ```
    pub fn detect(start: &[u8]) -> Option<OtherProtocol> {
        let has_signature = |(offset, signature, _): &&(usize, &[u8], _)| {
            start.get(*offset..).is_some_and(|bytes| bytes.starts_with(signature))
        };
        let by_signature = SIGNATURES.iter().find(has_signature).map(|(_, _, protocol)| *protocol);
        by_signature.or_else(|| detect_request(start)).or_else(|| detect_command(start))
    }

    /// Returns whether more bytes are needed to detect a protocol, although the first bytes contain
    /// a whole line.
    pub fn needs_more_bytes(start: &[u8]) -> bool {
        start.contains(&b'\n') && start.len() < PROXY_V2.len() && PROXY_V2.starts_with(start)
    }

    /// Returns the code of the bye for a client that speaks this protocol.
    pub fn bye_code(self) -> ByeCode {
        match self {
            Tls => ByeCode::Tls,
            PlainText => ByeCode::TlsRequired,
            Http => ByeCode::Http,
            Proxy => ByeCode::Proxy,
            Ssh => ByeCode::Ssh,
            Irc => ByeCode::Irc,
            Smtp | Rtsp | Sip | Redis | Mqtt | Postgres | Rdp | Smb | Socks => {
                ByeCode::OtherProtocol
            }
        }
    }
}

impl fmt::Display for OtherProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Tls => "TLS",
            PlainText => "plain text",
            Http => "HTTP",
            Proxy => "the PROXY protocol",
            Ssh => "SSH",
            Irc => "IRC",
            Smtp => "SMTP",
            Rtsp => "RTSP",
            Sip => "SIP",
            Redis => "the Redis protocol",
            Mqtt => "MQTT",
            Postgres => "the PostgreSQL protocol",
            Rdp => "RDP",
            Smb => "SMB",
            Socks => "SOCKS",
        })
    }
}

/// Detects HTTP and protocols like it by the first line of a request: a method, a target and a
/// version.
fn detect_request(start: &[u8]) -> Option<OtherProtocol> {
    let (line, _) = split_at_byte(start, b'\n');
    let (method, rest) = split_at_byte(line, b' ');
    let (target, version) = split_at_byte(rest, b' ');
    // A path, an asterisk, a URL or an address with a port.
    if !is_method(method) || !target.iter().any(|byte| matches!(byte, b'/' | b'*' | b':')) {
        return None;
    }
    let is_version = |(prefix, _): &&(&[u8], _)| version.starts_with(prefix);
    let protocol = REQUEST_VERSIONS.iter().find(is_version).map(|(_, protocol)| *protocol)?;
    (protocol != Http || is_http_target(method, target)).then_some(protocol)
}

/// Splits bytes into those before and after the first one of this value, or at their end.
pub fn split_at_byte(bytes: &[u8], at: u8) -> (&[u8], &[u8]) {
    let index = bytes.iter().position(|&byte| byte == at).unwrap_or(bytes.len());
    let (before, rest) = bytes.split_at(index);
    (before, rest.get(1..).unwrap_or_default())
}

/// Returns whether a word is the method of a request.
fn is_method(word: &[u8]) -> bool {
    (3..=MAX_METHOD).contains(&word.len()) && word.iter().all(u8::is_ascii_uppercase)
}

/// Returns whether a word is the target of an HTTP request with this method.
fn is_http_target(method: &[u8], target: &[u8]) -> bool {
    let has_scheme = |scheme: &&[u8]| {
        target.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    };
    match target {
        [b'/', ..] | [b'*'] => true,
        _ if method == b"CONNECT" => target.contains(&b':'),
        _ => HTTP_SCHEMES.iter().any(has_scheme),
    }
}

/// Returns whether the first bytes of a connection, which have no newline, can become an HTTP
/// request with more bytes. It is `true` for each start of a first line that
/// [`OtherProtocol::detect`] detects as HTTP.
#[cfg(feature = "web")]
pub fn looks_like_http(start: &[u8]) -> bool {
    let (method, rest) = split_at_byte(start, b' ');
    let (target, version) = split_at_byte(rest, b' ');
    let is_target = target.first().is_none_or(|first| b"/*hH".contains(first));
    method.len() <= MAX_METHOD
        && method.iter().all(u8::is_ascii_uppercase)
        && (is_target || method == b"CONNECT")
        && (version.starts_with(b"HTTP/") || b"HTTP/".starts_with(version))
}

/// Detects a protocol by its first command, which is a whole line with CR LF.
fn detect_command(start: &[u8]) -> Option<OtherProtocol> {
    let (line, rest) = start.split_at(start.iter().position(|&byte| byte == b'\n')?);
    let words = line.strip_suffix(b"\r")?.split(|&byte| byte == b' ');
    let words: Vec<&[u8]> = words.filter(|word| !word.is_empty()).collect();
    match words[..] {
        [b"CAP", b"LS" | b"LIST" | b"REQ" | b"END", ..] => Some(Irc),
        [b"NICK", _] | [b"PASS", _] | [b"PASS", [b':', ..], ..] | [b"USER", _, _, _, ..] => {
            Some(Irc)
        }
        [b"EHLO" | b"HELO" | b"LHLO", _] => Some(Smtp),
        // An array of strings, of which the first follows.
        [[b'*', count @ ..]] if is_number(count) && rest.starts_with(b"\n$") => Some(Redis),
        _ => None,
    }
}

fn is_number(digits: &[u8]) -> bool {
    !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The first bytes of clients.
    const CLIENTS: &[(&[u8], OtherProtocol)] = &[
        (b"\x16\x03\x01\x02\x00\x01", Tls),
        (b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n", Http),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Http),
        (b"OPTIONS / RTSP/1.0\r\n\r\n", Rtsp),
        (b"OPTIONS sip:nm SIP/2.0\r\n", Sip),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 8080\r\n", Proxy),
        (b"PROXY TCP6 2001:db8::1 2001:db8::2 56324 8080\r\n", Proxy),
        (b"PROXY UNKNOWN\r\n", Proxy),
        (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0C\xC0\0\x02\x01\xC0\0\x02\x02\xDC\x04\x1F\x90", Proxy),
        (b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", Proxy),
        (b"SSH-2.0-OpenSSH_9.9\r\n", Ssh),
        (b"SSH-1.99-client\n", Ssh),
        (b"CAP LS 302\r\nNICK alice\r\nUSER alice 0 * :Alice\r\n", Irc),
        (b"CAP LS\r\n", Irc),
        (b"NICK alice\r\n", Irc),
        (b"USER alice 0 * :Alice Example\r\n", Irc),
        (b"PASS secret\r\nNICK alice\r\n", Irc),
        (b"PASS :two words\r\n", Irc),
        (b"EHLO mail.example.com\r\n", Smtp),
        (b"HELO localhost\r\n", Smtp),
        (b"*1\r\n$4\r\nPING\r\n", Redis),
        (b"\x10\x0C\0\x04MQTT\x04\x02\0\x3C\0\0", Mqtt),
        (b"\x10\x8C\x0A\0\x04MQTT\x05\x02\0\x3C\0\0", Mqtt),
        (b"\x10\x0E\0\x06MQIsdp\x03\x02\0\x3C\0\0", Mqtt),
        (b"\0\0\0\x08\x04\xD2\x16\x2F", Postgres),
        (b"\0\0\0\x24\0\x03\0\0user\0alice\0\0", Postgres),
        (b"\x03\0\0\x13\x0E\xE0\0\0\0\0\0\x01\0\x08\0\x03\0\0\0", Rdp),
        (b"\0\0\0\x0A\xFFSMBr\0\0\0\0", Smb),
        (b"\0\0\0\x24\xFESMB\x40\0", Smb),
        (b"\x05\x01\0", Socks),
    ];

    #[test]
    fn first_bytes_of_other_clients_are_detected() {
        for (bytes, expected) in CLIENTS {
            assert_eq!(OtherProtocol::detect(bytes), Some(*expected), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn no_start_of_other_client_is_taken_for_a_third() {
        for (bytes, expected) in CLIENTS {
            for end in 0..bytes.len() {
                let detected = OtherProtocol::detect(&bytes[..end]);
                assert!(detected.is_none_or(|found| found == *expected), "{expected} {end}");
            }
        }
    }

    #[test]
    fn ordinary_first_line_is_not_another_protocol() {
        for line in [
            "",
            "hello",
            "GET",
            "GET /",
            "get / HTTP/1.1",
            "hello HTTP/1.1",
            "I like HTTP/2",
            "WHY NOT HTTP/2",
            "GET me/you HTTP/1.1",
            "LOOK c:d HTTP/1.1",
            "nick alice",
            "NICK",
            "NICK is my name",
            "PASS me the salt",
            "pass the salt",
            "USER error",
            "CAP",
            "CAP THEOREM",
            "PROXY TCP4",
            "PROXY server?",
            "SSH-2",
            "SSH is down",
            "HELO",
            "HELO to all of you",
            "EHLO!",
            "*1",
            "*",
            "\u{1}\u{1}\u{1}\u{1}",
            "\0",
            "/nick alice",
            r#"{"hello":{"name":"alice"}}"#,
            r#"{"data_source":"127.0.0.1","data":"NICK alice"}"#,
        ] {
            for end in ["", "\n", "\r\n", "\r\nNICK bob\r\n"] {
                let start = format!("{line}{end}");
                assert_eq!(OtherProtocol::detect(start.as_bytes()), None, "{start:?}");
            }
        }
        for line in ["NICK alice", "PASS secret", "USER a b c d", "CAP LS 302", "EHLO x"] {
            let start = format!("{line}\nNICK bob\r\n");
            assert_eq!(OtherProtocol::detect(start.as_bytes()), None, "{start:?}");
        }
    }

    #[cfg(feature = "web")]
    #[test]
    fn text_looks_like_http_while_it_can_become_it() {
        for (text, length) in [
            ("GET m", 4),
            ("GET /", 5),
            ("GET / and more", 6),
            ("LOL\n", 3),
            ("OK /", 4),
            ("Get", 1),
            ("GET ftp://", 4),
            ("CONNECT me H", 12),
            ("OPTIONS / RTSP", 10),
            ("AAAAAAAAAAAAAAAAAAAAA", 20),
            ("hello", 0),
            ("\r\nGET / HTTP/1.1", 0),
        ] {
            for end in 0..=text.len() {
                assert_eq!(
                    looks_like_http(&text.as_bytes()[..end]),
                    end <= length,
                    "{text:?} {end}"
                );
            }
        }
    }

    #[test]
    fn proxy_signature_is_awaited_after_its_newlines() {
        for end in 0..=PROXY_V2.len() {
            let needs_more = (2..PROXY_V2.len()).contains(&end);
            let start = &PROXY_V2[..end];
            assert!(needs_more || end < 2 || OtherProtocol::detect(start) == Some(Proxy));
            assert_eq!(OtherProtocol::needs_more_bytes(start), needs_more, "{end}");
        }
        for start in [&b"\n"[..], b"\r\n\n", b"\r\nhello", b"\r\n\r\n\r\n"] {
            assert!(!OtherProtocol::needs_more_bytes(start), "{}", start.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn text_of_small_letters_is_not_detected(text in "[a-z0-9 {}:\"\\r\\n]{0,60}") {
            prop_assert_eq!(OtherProtocol::detect(text.as_bytes()), None);
        }

        #[cfg(feature = "web")]
        #[test]
        fn each_start_of_http_looks_like_it(
            line in "(GET|CONNECT|[A-Z]{0,21}) (/|\\*|[hH]ttps?:|ftp:|[a-z:/*]{0,4}){0,3} ?H?TTP/[ -~]{0,5}",
            end in "(\r?\n.{0,5})?",
        ) {
            let text = format!("{line}{end}");
            if OtherProtocol::detect(text.as_bytes()) == Some(Http) {
                let line = line.as_bytes();
                prop_assert!((0..=line.len()).all(|end| looks_like_http(&line[..end])));
            }
        }
    }
}
