//! The header of the PROXY protocol: bytes in, the address of the client out. No I/O.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::protocol::PROXY_V2;

/// The most bytes of a header that [`parse_header`] needs. This is the longest header of version 1;
/// in version 2, the bytes after the addresses are skipped.
pub const MAX_PARSED_BYTES: usize = 107;

const V1_START: &[u8] = b"PROXY ";
const V1_UNKNOWN: &[u8] = b"PROXY UNKNOWN";
/// The bytes of version 2 before the addresses: the signature, command, family and a length.
const V2_FIXED_BYTES: usize = 16;

/// The content of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyHeader {
    /// The proxy forwards a connection from this address.
    Client(SocketAddr),
    /// The proxy forwards a connection and does not know its address, or the address is not that of
    /// a TCP connection.
    Unknown,
    /// The proxy opened the connection for itself, for example to check whether the server works.
    Local,
}

/// The error for bytes that are not a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderError {
    /// The bytes do not begin like a header.
    Missing,
    /// The bytes begin like a header and continue differently.
    Invalid,
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            HeaderError::Missing => "no PROXY header",
            HeaderError::Invalid => "invalid PROXY header",
        })
    }
}

impl std::error::Error for HeaderError {}

/// Parses the header at the start of `bytes`, and returns it with its length. Returns `None` if
/// more bytes are needed, at most [`MAX_PARSED_BYTES`] in all.
///
/// A header of version 2 can end after the last of `bytes`: its end is not needed.
///
/// # Errors
///
/// Returns an error as soon as the bytes cannot become a header.
///
/// # Examples
///
/// ```
/// use smolchat::server::edge::proxy::{HeaderError, ProxyHeader, parse_header};
///
/// let bytes = b"PROXY TCP4 192.0.2.1 192.0.2.2 50000 8080\r\nhello\n";
/// let client = ProxyHeader::Client("192.0.2.1:50000".parse().unwrap());
/// assert_eq!(parse_header(bytes), Ok(Some((client, 43))));
/// assert_eq!(parse_header(b"PROXY TCP4 192.0"), Ok(None));
/// assert_eq!(parse_header(b"hello\n"), Err(HeaderError::Missing));
/// ```
pub fn parse_header(bytes: &[u8]) -> Result<Option<(ProxyHeader, usize)>, HeaderError> {
    let begins_like =
        |start: &[u8]| bytes.iter().zip(start).all(|(byte, expected)| byte == expected);
    if begins_like(PROXY_V2) {
        parse_v2(bytes)
    } else if begins_like(V1_START) {
        parse_v1(bytes)
    } else {
        Err(HeaderError::Missing)
    }
}

/// Parses version 1: a line that ends with CR LF.
fn parse_v1(bytes: &[u8]) -> Result<Option<(ProxyHeader, usize)>, HeaderError> {
    let start = bytes.get(..MAX_PARSED_BYTES).unwrap_or(bytes);
    let Some(length) = start.iter().position(|&byte| byte == b'\n') else {
        let is_too_long = start.len() == MAX_PARSED_BYTES;
        return if is_too_long { Err(HeaderError::Invalid) } else { Ok(None) };
    };
    let line = start.get(..length).and_then(|line| line.strip_suffix(b"\r"));
    let header = line.and_then(parse_v1_line).ok_or(HeaderError::Invalid)?;
    Ok(Some((header, length + 1)))
}

fn parse_v1_line(line: &[u8]) -> Option<ProxyHeader> {
    // The rest of such a line must be ignored.
    if let Some([] | [b' ', ..]) = line.strip_prefix(V1_UNKNOWN) {
        return Some(ProxyHeader::Unknown);
    }
    let fields: Vec<&str> = str::from_utf8(line).ok()?.split(' ').collect();
    let [_, family, source, destination, source_port, destination_port] = fields[..] else {
        return None;
    };
    let parse_ip = |text: &str| match family {
        "TCP4" => text.parse().ok().map(IpAddr::V4),
        "TCP6" => text.parse().ok().map(IpAddr::V6),
        _ => None,
    };
    let source = SocketAddr::new(parse_ip(source)?, parse_port(source_port)?);
    // Not needed, and checked because an invalid line must be rejected.
    let _ = (parse_ip(destination)?, parse_port(destination_port)?);
    Some(ProxyHeader::Client(source))
}

/// Parses a port in decimal digits without leading zeros.
fn parse_port(text: &str) -> Option<u16> {
    let has_sign_or_zero = text.starts_with(['+', '0']) && text != "0";
    text.parse().ok().filter(|_| !has_sign_or_zero)
}

/// Parses version 2: a binary header of a stated length.
fn parse_v2(bytes: &[u8]) -> Result<Option<(ProxyHeader, usize)>, HeaderError> {
    let Some((fixed, rest)) = bytes.split_first_chunk::<V2_FIXED_BYTES>() else { return Ok(None) };
    let [.., command, family, high, low] = *fixed;
    let length = usize::from(u16::from_be_bytes([high, low]));
    let header = match (command, family) {
        (0x20, _) => Some(ProxyHeader::Local),
        (0x21, 0x11) if length >= 12 => parse_v2_ipv4(rest),
        (0x21, 0x21) if length >= 36 => parse_v2_ipv6(rest),
        (0x21, 0x11 | 0x21) => return Err(HeaderError::Invalid),
        // Datagrams, unix sockets, and addresses that are not given.
        (0x21, 0x00..=0x3f) if family & 0x0f <= 2 => Some(ProxyHeader::Unknown),
        _ => return Err(HeaderError::Invalid),
    };
    Ok(header.map(|header| (header, V2_FIXED_BYTES + length)))
}

/// Parses the source of a pair of IPv4 addresses, if they are complete.
fn parse_v2_ipv4(bytes: &[u8]) -> Option<ProxyHeader> {
    let (ip, rest) = bytes.split_first_chunk::<4>()?;
    let [_, _, _, _, high, low, ..] = *rest else { return None };
    let port = u16::from_be_bytes([high, low]);
    Some(ProxyHeader::Client((Ipv4Addr::from(*ip), port).into()))
}

/// Parses the source of a pair of IPv6 addresses, if they are complete.
fn parse_v2_ipv6(bytes: &[u8]) -> Option<ProxyHeader> {
    let (ip, rest) = bytes.split_first_chunk::<16>()?;
    let (_, ports) = rest.split_first_chunk::<16>()?;
    let [high, low, ..] = *ports else { return None };
    let port = u16::from_be_bytes([high, low]);
    Some(ProxyHeader::Client((Ipv6Addr::from(*ip), port).into()))
}

#[cfg(test)]
mod tests;
