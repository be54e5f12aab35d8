//! The head of an HTTP/1.1 request (RFC 9110 and RFC 9112).

use super::host::{parse_host, split_scheme};
use crate::protocol::split_at_byte;

/// A parsed request head.
#[derive(Debug)]
pub struct RequestHead<'a> {
    method: &'a [u8],
    /// The path of the target, without its query.
    path: &'a [u8],
    /// The host with its port.
    authority: Vec<u8>,
    /// Whether the version is 1.0, which has no upgrades.
    is_version_1_0: bool,
    fields: Fields<'a>,
}

impl<'a> RequestHead<'a> {
    /// Parses a head, with the empty line at its end. Returns `None` if it is malformed, or has no
    /// host.
    pub fn parse(head: &'a [u8]) -> Option<Self> {
        let (line, rest) = split_at_byte(head, b'\n');
        let (method, words) = split_at_byte(without_line_end(line), b' ');
        let (target, version) = split_at_byte(words, b' ');
        let is_version_1_0 = match version {
            b"HTTP/1.0" => true,
            [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'1'..=b'9'] => false,
            _ => return None,
        };
        let fields = Fields::parse(rest)?;
        let host = fields.value(b"host");
        if !is_word(target) || host.is_empty() {
            return None;
        }
        // A target that is a URL has the host; the field is then ignored, but must be there.
        let (authority, path) = match split_scheme(target) {
            Some((_, url)) => {
                let end = url.iter().position(|byte| matches!(byte, b'/' | b'?'));
                let (host, path) = url.split_at_checked(end.unwrap_or(url.len()))?;
                (host.to_vec(), path)
            }
            None => (host, target),
        };
        let (path, _) = split_at_byte(path, b'?');
        let path = if path.is_empty() { b"/" } else { path };
        Some(RequestHead { method, path, authority, is_version_1_0, fields })
    }

    pub fn method(&self) -> &'a [u8] {
        self.method
    }

    /// Returns the path of the target, without its query.
    pub fn path(&self) -> &'a [u8] {
        self.path
    }

    /// Returns the host with its port.
    pub fn authority(&self) -> &[u8] {
        &self.authority
    }

    /// Returns the host without its port, or `None` if it is malformed.
    pub fn host(&self) -> Option<&[u8]> {
        parse_host(&self.authority)
    }

    /// Returns the origin, or no bytes if it is missing. Browsers send it with each WebSocket
    /// handshake.
    pub fn origin(&self) -> Vec<u8> {
        self.fields.value(b"origin")
    }

    /// Returns whether the request has a body.
    pub fn has_body(&self) -> bool {
        !self.fields.value(b"transfer-encoding").is_empty()
            || self.fields.value(b"content-length").iter().any(|&digit| digit != b'0')
    }

    /// Returns whether the client asks for an upgrade to WebSocket, of version 13.
    pub fn is_upgrade(&self) -> bool {
        !self.is_version_1_0
            && self.fields.has_item(b"upgrade", b"websocket")
            && self.fields.has_item(b"connection", b"upgrade")
            && self.fields.has_item(b"sec-websocket-version", b"13")
    }

    /// Returns the key of the WebSocket handshake.
    pub fn key(&self) -> Vec<u8> {
        self.fields.value(b"sec-websocket-key")
    }

    /// Returns whether the client accepts gzip, and says so.
    pub fn accepts_gzip(&self) -> bool {
        let codings = self.fields.value(b"accept-encoding");
        codings.split(|&byte| byte == b',').any(|item| {
            let (coding, weight) = split_at_byte(item, b';');
            // The weight may be left out. If it is 0, all its digits are 0.
            coding.trim_ascii().eq_ignore_ascii_case(b"gzip")
                && (weight.is_empty() || weight.iter().any(|byte| matches!(byte, b'1'..=b'9')))
        })
    }

    /// Returns whether the client has the file with this entity tag.
    pub fn has_etag(&self, etag: &[u8]) -> bool {
        self.fields.has_item(b"if-none-match", etag)
    }
}

/// The lines of a head after the first, all of which are valid.
#[derive(Debug)]
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn parse(lines: &'a [u8]) -> Option<Self> {
        let mut length = 0;
        for line in lines.split_inclusive(|&byte| byte == b'\n') {
            let field = without_line_end(line);
            if field.is_empty() {
                return lines.get(..length).map(Fields);
            }
            if !is_field(field) {
                return None;
            }
            length += line.len();
        }
        None
    }

    /// Returns the value of the field with this name, in any case, or no bytes if it is missing.
    /// The values of a repeated field are joined with commas (RFC 9110, section 5.3).
    fn value(&self, name: &[u8]) -> Vec<u8> {
        let mut joined = Vec::new();
        for line in self.0.split(|&byte| byte == b'\n') {
            let (found, value) = line.split_at_checked(name.len()).unwrap_or_default();
            if let [b':', value @ ..] = value
                && found.eq_ignore_ascii_case(name)
            {
                joined.extend_from_slice(value.trim_ascii());
                joined.push(b',');
            }
        }
        joined.pop();
        joined
    }

    /// Returns whether a field whose value is a list has an item, in any case.
    fn has_item(&self, name: &[u8], item: &[u8]) -> bool {
        let list = self.value(name);
        list.split(|&byte| byte == b',').any(|other| other.trim_ascii().eq_ignore_ascii_case(item))
    }
}

fn is_field(line: &[u8]) -> bool {
    let Some(colon) = line.iter().position(|&byte| byte == b':') else { return false };
    let (name, value) = line.split_at(colon);
    is_word(name) && value.iter().all(|&byte| byte == b'\t' || !byte.is_ascii_control())
}

/// Returns whether bytes are visible ASCII characters, without spaces.
fn is_word(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(u8::is_ascii_graphic)
}

/// Removes `\n` or `\r\n` from the end of a line.
fn without_line_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests;
