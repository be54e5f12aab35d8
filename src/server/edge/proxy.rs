//! The PROXY protocol, versions 1 and 2: a proxy sends the address of its client in a header, before
//! the bytes of the client.
//!
//! The format is that of <https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>.

mod header;

pub use header::{Header, HeaderError, MAX_PARSED_BYTES, parse_header};
