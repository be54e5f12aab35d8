//! The head of an HTTP/1.1 request (RFC 9110 and RFC 9112).

use super::host::{parse_host, split_scheme};

/// A parsed request head.
#[derive(Debug)]
pub struct RequestHead<'a> {
    method: &'a [u8],
    /// The path of the target, without its query.
    path: &'a [u8],
    /// The host with its port.
    authority: Vec<u8>,
    /// Whether the version is 1.0, which has no upgrades.
    is_old: bool,
    fields: Fields<'a>,
}

/// The error for a request that is not valid: what is wrong with it.
pub type Invalid = &'static str;

impl<'a> RequestHead<'a> {
    /// Parses a head, with the empty line at its end.
    ///
    /// # Errors
    ///
    /// Returns an error if the head is malformed, or if it has no host.
    pub fn parse(head: &'a [u8]) -> Result<Self, Invalid> {
        let end = head.iter().position(|&byte| byte == b'\n');
        let (line, rest) = end.and_then(|end| head.split_at_checked(end + 1)).ok_or("no line")?;
        let mut words = without_line_end(line).split(|&byte| byte == b' ');
        let (Some(method), Some(target), Some(version), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err("the request line is not a method, a target and a version");
        };
        let is_old = match version {
            b"HTTP/1.0" => true,
            [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'1'..=b'9'] => false,
            _ => return Err("the version must be HTTP/1.1"),
        };
        if !is_word(target) {
            return Err("the target has characters that must be escaped");
        }
        let fields = Fields::parse(rest)?;
        let host = fields.value(b"host").ok_or("the request has no Host")?;
        // A target that is a URL has the host; the field is then ignored, but must be there.
        let (authority, path) = match split_scheme(target) {
            Some((_, url)) => {
                let end = url.iter().position(|byte| matches!(byte, b'/' | b'?'));
                let (host, path) =
                    url.split_at_checked(end.unwrap_or(url.len())).unwrap_or_default();
                (host.to_vec(), path)
            }
            None => (host, target),
        };
        let path = path.split(|&byte| byte == b'?').next().unwrap_or_default();
        let path = if path.is_empty() { b"/" } else { path };
        Ok(RequestHead { method, path, authority, is_old, fields })
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

    /// Returns the host without its port.
    ///
    /// # Errors
    ///
    /// Returns an error if the host is malformed.
    pub fn host(&self) -> Result<&[u8], Invalid> {
        parse_host(&self.authority).ok_or("the host is not a name or an address")
    }

    /// Returns the origin, which each browser sends with a WebSocket handshake.
    ///
    /// # Errors
    ///
    /// Returns an error if the request has more than one.
    pub fn origin(&self) -> Result<Option<Vec<u8>>, Invalid> {
        match self.fields.value(b"origin") {
            Some(origins) if origins.contains(&b',') => Err("the request has more than one Origin"),
            origin => Ok(origin),
        }
    }

    /// Returns whether the request has a body.
    pub fn has_body(&self) -> bool {
        let length = self.fields.value(b"content-length");
        self.fields.value(b"transfer-encoding").is_some()
            || length.is_some_and(|length| length != b"0")
    }

    /// Returns whether the client asks for an upgrade to WebSocket, of version 13.
    pub fn is_upgrade(&self) -> bool {
        let version = self.fields.value(b"sec-websocket-version");
        !self.is_old
            && self.fields.has_item(b"upgrade", b"websocket")
            && self.fields.has_item(b"connection", b"upgrade")
            && version.is_some_and(|version| version == b"13")
    }

    /// Returns the key of the WebSocket handshake.
    pub fn key(&self) -> Option<Vec<u8>> {
        self.fields.value(b"sec-websocket-key")
    }

    /// Returns whether the client accepts gzip, and says so.
    pub fn accepts_gzip(&self) -> bool {
        let codings = self.fields.value(b"accept-encoding").unwrap_or_default();
        let mut accepts_any = false;
        for item in codings.split(|&byte| byte == b',') {
            let end = item.iter().position(|&byte| byte == b';').unwrap_or(item.len());
            let (coding, weight) = item.split_at_checked(end).unwrap_or_default();
            // The weight may be left out. If it is 0, all its digits are 0.
            let is_accepted =
                weight.is_empty() || weight.iter().any(|byte| b"123456789".contains(byte));
            match coding.trim_ascii() {
                b"*" => accepts_any = is_accepted,
                coding if coding.eq_ignore_ascii_case(b"gzip") => return is_accepted,
                _ => {}
            }
        }
        accepts_any
    }

    /// Returns whether the client has the file with this entity tag, which is in quotes.
    pub fn has_etag(&self, etag: &[u8]) -> bool {
        let tags = self.fields.value(b"if-none-match").unwrap_or_default();
        tags.windows(etag.len()).any(|tag| tag == etag)
    }
}

/// The lines of a head after the first, all of which are valid.
#[derive(Debug)]
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn parse(lines: &'a [u8]) -> Result<Self, Invalid> {
        let mut length = 0;
        for line in lines.split_inclusive(|&byte| byte == b'\n') {
            let field = without_line_end(line);
            if field.is_empty() {
                return Ok(Fields(lines.get(..length).unwrap_or_default()));
            }
            check_field(field)?;
            length += line.len();
        }
        Err("the head does not end with an empty line")
    }

    /// Returns the value of the field with this name, which is in small letters. The values of a
    /// repeated field are joined with commas (RFC 9110, section 5.3).
    fn value(&self, name: &[u8]) -> Option<Vec<u8>> {
        let mut joined = Vec::new();
        let mut is_found = false;
        for line in self.0.split(|&byte| byte == b'\n') {
            let (found, value) = line.split_at_checked(name.len()).unwrap_or_default();
            if let [b':', value @ ..] = value
                && found.eq_ignore_ascii_case(name)
            {
                if is_found {
                    joined.push(b',');
                }
                is_found = true;
                joined.extend_from_slice(value.trim_ascii());
            }
        }
        is_found.then_some(joined)
    }

    /// Returns whether a field whose value is a list has an item, in small letters.
    fn has_item(&self, name: &[u8], item: &[u8]) -> bool {
        let list = self.value(name).unwrap_or_default();
        list.split(|&byte| byte == b',').any(|other| other.trim_ascii().eq_ignore_ascii_case(item))
    }
}

fn check_field(line: &[u8]) -> Result<(), Invalid> {
    let colon = line.iter().position(|&byte| byte == b':').ok_or("a field has no colon")?;
    let (name, value) = line.split_at(colon);
    if !is_word(name) {
        return Err("the name of a field is not a word");
    }
    if value.iter().any(|&byte| byte.is_ascii_control() && byte != b'\t') {
        return Err("a field has control characters");
    }
    Ok(())
}

/// Returns whether bytes are letters, digits and signs of ASCII, without spaces.
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
