//! The header of the PROXY protocol gives the same result however it is split, and the header of a
//! client can be written again.

use std::net::SocketAddr;

use smolchat::server::edge::proxy::{HeaderError, MAX_PARSED_BYTES, ProxyHeader, parse_header};

pub fn run(data: &[u8]) {
    let whole = parse_header(data);
    for length in 0..data.len().min(MAX_PARSED_BYTES) {
        let part = parse_header(&data[..length]);
        assert!(part == Ok(None) || part == whole, "{length}: {part:?}, {whole:?}");
    }
    match whole {
        Ok(Some((header, length))) => {
            assert!((15..=16 + 65_535).contains(&length));
            if let ProxyHeader::Client(client) = header {
                check_client(client);
            }
        }
        Ok(None) => assert!(data.len() < MAX_PARSED_BYTES),
        Err(error) => {
            let is_start = |start: &[u8]| data.starts_with(start);
            let begins = is_start(b"PROXY ") || is_start(b"\r\n\r\n\0\r\nQUIT\n");
            assert_eq!(error == HeaderError::Invalid, begins);
        }
    }
}

fn check_client(client: SocketAddr) {
    let (ip, port) = (client.ip(), client.port());
    let family = if ip.is_ipv4() { "TCP4" } else { "TCP6" };
    let line = format!("PROXY {family} {ip} {ip} {port} {port}\r\n");
    assert_eq!(parse_header(line.as_bytes()), Ok(Some((ProxyHeader::Client(client), line.len()))));
}
