//! The head of an HTTP/1.1 request (RFC 9110 and RFC 9112).

use super::host::{Authority, split_scheme};

/// A parsed request head.
#[derive(Debug)]
pub struct RequestHead<'a> {
    method: &'a [u8],
    /// The path of the target, without its query.
    path: &'a [u8],
    host: Authority<'a>,
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
    /// Returns an error if the head is malformed, or if its host is missing, repeated or malformed.
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
            [b'H', b'T', b'T', b'P', b'/', ..] => return Err("the version must be HTTP/1.1"),
            _ => return Err("the request line has no valid version"),
        };
        if method.is_empty() || !method.iter().copied().all(is_token) {
            return Err("the method is not a word");
        }
        if target.is_empty() || !target.iter().all(u8::is_ascii_graphic) {
            return Err("the target has characters that must be escaped");
        }
        let fields = Fields::parse(rest)?;
        let host = fields.single(b"host", "the request has more than one Host")?;
        let host = host.filter(|host| !host.is_empty()).ok_or("the request has no Host")?;
        // A target that is a URL has the host; the field is then ignored, but must be there.
        let (host, path) = match split_scheme(target) {
            Some((_, url)) => {
                let end = url.iter().position(|byte| matches!(byte, b'/' | b'?'));
                url.split_at_checked(end.unwrap_or(url.len())).unwrap_or_default()
            }
            None => (host, target),
        };
        let path = path.split(|&byte| byte == b'?').next().unwrap_or_default();
        let path = if path.is_empty() { b"/" } else { path };
        let host = Authority::parse(host).ok_or("the host is not a name or an address")?;
        Ok(RequestHead { method, path, host, is_old, fields })
    }

    pub fn method(&self) -> &'a [u8] {
        self.method
    }

    /// Returns the path of the target, without its query.
    pub fn path(&self) -> &'a [u8] {
        self.path
    }

    pub fn host(&self) -> &Authority<'a> {
        &self.host
    }

    /// Returns the origin, which each browser sends with a WebSocket handshake.
    ///
    /// # Errors
    ///
    /// Returns an error if the request has more than one.
    pub fn origin(&self) -> Result<Option<&'a [u8]>, Invalid> {
        self.fields.single(b"origin", "the request has more than one Origin")
    }

    /// Checks that the request has no body.
    ///
    /// # Errors
    ///
    /// Returns an error if the request has a body, or if its length is malformed.
    pub fn check_body(&self) -> Result<(), Invalid> {
        let mut lengths = self.fields.values(b"content-length");
        if self.fields.values(b"transfer-encoding").next().is_some()
            || lengths.any(|length| length.is_empty() || length.iter().any(|&byte| byte != b'0'))
        {
            return Err("a request must not have a body here");
        }
        Ok(())
    }

    /// Returns whether the client asks for an upgrade to WebSocket.
    pub fn is_upgrade(&self) -> bool {
        !self.is_old
            && self.fields.has_token(b"upgrade", b"websocket")
            && self.fields.has_token(b"connection", b"upgrade")
    }

    /// Returns the key of the WebSocket handshake.
    ///
    /// # Errors
    ///
    /// Returns an error if there is none, or more than one.
    pub fn key(&self) -> Result<&'a [u8], Invalid> {
        let key = self.fields.single(b"sec-websocket-key", "more than one Sec-WebSocket-Key")?;
        key.ok_or("the request has no Sec-WebSocket-Key")
    }

    /// Returns whether the WebSocket handshake is of version 13, which is the only one.
    pub fn is_version_13(&self) -> bool {
        let mut versions = self.fields.values(b"sec-websocket-version");
        versions.next() == Some(b"13") && versions.next().is_none()
    }

    /// Returns whether the client accepts gzip, and says so.
    pub fn accepts_gzip(&self) -> bool {
        let mut accepts_any = false;
        for item in self.fields.items(b"accept-encoding") {
            let mut parts = item.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
            let coding = parts.next().unwrap_or_default();
            let is_accepted = parts.all(is_positive_weight);
            if coding.eq_ignore_ascii_case(b"gzip") || coding.eq_ignore_ascii_case(b"x-gzip") {
                return is_accepted;
            }
            accepts_any |= coding == b"*" && is_accepted;
        }
        accepts_any
    }

    /// Returns whether the client has the file with this entity tag.
    pub fn has_etag(&self, etag: &[u8]) -> bool {
        self.fields
            .items(b"if-none-match")
            .any(|item| item == b"*" || item.strip_prefix(b"W/").unwrap_or(item) == etag)
    }
}

/// The lines of a head after the first, all of which are valid.
#[derive(Debug)]
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn parse(lines: &'a [u8]) -> Result<Self, Invalid> {
        let mut length = 0;
        for line in lines.split_inclusive(|&byte| byte == b'\n') {
            match without_line_end(line) {
                [] => return Ok(Fields(lines.get(..length).unwrap_or_default())),
                [b' ' | b'\t', ..] => return Err("a field continues on a second line"),
                field => check_field(field)?,
            }
            length += line.len();
        }
        Err("the head does not end with an empty line")
    }

    /// Returns the values of all fields with this name, which is in small letters.
    fn values(&self, name: &'static [u8]) -> impl Iterator<Item = &'a [u8]> {
        let lines = self.0.split(|&byte| byte == b'\n');
        lines.filter_map(move |line| {
            let (found, value) = line.split_at_checked(name.len())?;
            let value = value.strip_prefix(b":")?;
            found.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
        })
    }

    /// Returns the items of all fields with this name, whose values are lists.
    fn items(&self, name: &'static [u8]) -> impl Iterator<Item = &'a [u8]> {
        let items = self.values(name).flat_map(|value| value.split(|&byte| byte == b','));
        items.map(<[u8]>::trim_ascii)
    }

    fn has_token(&self, name: &'static [u8], token: &[u8]) -> bool {
        self.items(name).any(|item| item.eq_ignore_ascii_case(token))
    }

    /// Returns the value of a field that must not be repeated.
    fn single(&self, name: &'static [u8], repeated: Invalid) -> Result<Option<&'a [u8]>, Invalid> {
        let mut values = self.values(name);
        let value = values.next();
        if values.next().is_some() { Err(repeated) } else { Ok(value) }
    }
}

fn check_field(line: &[u8]) -> Result<(), Invalid> {
    let colon = line.iter().position(|&byte| byte == b':').ok_or("a field has no colon")?;
    let (name, value) = line.split_at(colon);
    if name.is_empty() || !name.iter().copied().all(is_token) {
        return Err("the name of a field is not a word");
    }
    if value.iter().any(|&byte| byte.is_ascii_control() && byte != b'\t') {
        return Err("a field has control characters");
    }
    Ok(())
}

/// Returns whether a byte may be in a token (RFC 9110, section 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Returns whether a parameter of a content coding is not `q=0`. A malformed weight is 0.
fn is_positive_weight(parameter: &[u8]) -> bool {
    let digits = match parameter {
        [b'q' | b'Q', b'=', b'1', rest @ ..] => {
            return rest.iter().all(|byte| b".0".contains(byte));
        }
        [b'q' | b'Q', b'=', b'0', b'.', digits @ ..] => digits,
        _ => return false,
    };
    digits.iter().all(u8::is_ascii_digit) && digits.iter().any(|&digit| digit != b'0')
}

/// Removes `\n` or `\r\n` from the end of a line.
fn without_line_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests;
