//! Tests of the header, with all that proxies send and with any bytes.

use proptest::prelude::*;

use super::*;

fn v2(command: u8, family: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    [PROXY_V2, &[command, family], &length, content].concat()
}

/// Returns a header of version 1 or 2 for a client.
fn encode(client: SocketAddr, is_v2: bool, options: &[u8]) -> Vec<u8> {
    let port = client.port().to_be_bytes();
    match (client.ip(), is_v2) {
        (IpAddr::V4(ip), false) => {
            format!("PROXY TCP4 {ip} 192.0.2.2 {} 8080\r\n", client.port()).into()
        }
        (IpAddr::V6(ip), false) => format!("PROXY TCP6 {ip} ::1 {} 8080\r\n", client.port()).into(),
        (IpAddr::V4(ip), true) => v2(
            0x21,
            0x11,
            &[&ip.octets(), &[192, 0, 2, 2], &port[..], &[31, 144], options].concat(),
        ),
        (IpAddr::V6(ip), true) => {
            v2(0x21, 0x21, &[&ip.octets(), &[0; 16], &port[..], &[31, 144], options].concat())
        }
    }
}

#[test]
fn v1_line_is_parsed_or_rejected() {
    let parse = |line: &str| parse_header(line.as_bytes()).map(|parsed| parsed.unwrap().0);
    let client = |text: &str| Ok(ProxyHeader::Client(text.parse().unwrap()));
    assert_eq!(parse("PROXY TCP4 255.255.255.255 0.0.0.0 0 1\r\n"), client("255.255.255.255:0"));
    let longest = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
    let line = format!("PROXY TCP6 {longest} {longest} 65535 65535\r\n");
    assert_eq!(parse(&line), client(&format!("[{longest}]:65535")));
    let line = format!("PROXY UNKNOWN {longest} {longest} 65535 65535\r\n");
    assert_eq!((line.len(), parse(&line)), (MAX_PARSED_BYTES, Ok(ProxyHeader::Unknown)));
    assert_eq!(parse("PROXY UNKNOWN\r\n"), Ok(ProxyHeader::Unknown));
    assert_eq!(parse("PROXY UNKNOWN what ever\r\n"), Ok(ProxyHeader::Unknown));
    for line in [
        "PROXY \r\n",
        "PROXY UNKNOWN\n",
        "PROXY UNKNOWNS\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n",
        "PROXY  TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 -\r\n",
        "PROXY TCP4 192.0.2.1 ::1 1 2\r\n",
        "PROXY TCP4 ::1 ::1 1 2\r\n",
        "PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n",
        "PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY tcp4 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY TCP4 192.0.2.1\r 192.0.2.2 1 2\r\n",
        "PROXY TCP4 192.0.2.\u{661} 192.0.2.2 1 2\r\n",
    ] {
        assert_eq!(parse(line), Err(HeaderError::Invalid), "{line:?}");
    }
    let too_long = format!("PROXY UNKNOWN {}", "x".repeat(MAX_PARSED_BYTES));
    assert_eq!(parse(&too_long), Err(HeaderError::Invalid));
}

#[test]
fn v2_header_is_parsed_or_rejected() {
    let client = ProxyHeader::Client("192.0.2.1:258".parse().unwrap());
    let addresses = [192, 0, 2, 1, 192, 0, 2, 2, 1, 2, 3, 4];
    for (command, family, content, expected) in [
        (0x21, 0x11, &addresses[..], Ok(client)),
        (0x21, 0x11, &addresses[1..], Err(HeaderError::Invalid)),
        (0x21, 0x21, &[0; 35], Err(HeaderError::Invalid)),
        (0x21, 0x00, &[], Ok(ProxyHeader::Unknown)),
        (0x21, 0x12, &addresses, Ok(ProxyHeader::Unknown)),
        (0x21, 0x31, &[0; 216], Ok(ProxyHeader::Unknown)),
        (0x21, 0x41, &addresses, Err(HeaderError::Invalid)),
        (0x21, 0x13, &addresses, Err(HeaderError::Invalid)),
        // The family of a local connection is ignored.
        (0x20, 0x00, &[], Ok(ProxyHeader::Local)),
        (0x20, 0xff, &addresses, Ok(ProxyHeader::Local)),
        (0x22, 0x11, &addresses, Err(HeaderError::Invalid)),
        (0x11, 0x11, &addresses, Err(HeaderError::Invalid)),
        (0x31, 0x11, &addresses, Err(HeaderError::Invalid)),
    ] {
        let bytes = v2(command, family, content);
        let expected = expected.map(|header| Some((header, bytes.len())));
        assert_eq!(parse_header(&bytes), expected, "{bytes:?}");
    }
}

#[test]
fn first_wrong_byte_is_missing_header() {
    assert_eq!(parse_header(b""), Ok(None));
    for start in [V1_START, PROXY_V2] {
        for length in 0..start.len() {
            assert_eq!(parse_header(&start[..length]), Ok(None));
            let wrong = [&start[..length], b"?"].concat();
            assert_eq!(parse_header(&wrong), Err(HeaderError::Missing), "{wrong:?}");
        }
    }
}

proptest! {
    #[test]
    fn header_round_trips_however_it_is_split(
        client: SocketAddr,
        is_v2: bool,
        options in proptest::collection::vec(any::<u8>(), 0..300),
        next in proptest::collection::vec(any::<u8>(), 0..20),
    ) {
        // A scope is not carried.
        let client = SocketAddr::new(client.ip(), client.port());
        let header = encode(client, is_v2, &options);
        let bytes = [&header[..], &next].concat();
        let parsed = Ok(Some((ProxyHeader::Client(client), header.len())));
        prop_assert_eq!(parse_header(&bytes), parsed);
        let needed = if is_v2 { header.len() - options.len() } else { header.len() };
        for length in 0..bytes.len() {
            match parse_header(&bytes[..length]) {
                // The port of the destination is not read.
                Ok(None) => prop_assert!(length < needed),
                other => {
                    prop_assert_eq!(other, parsed);
                    prop_assert!(length + 2 >= needed);
                }
            }
        }
    }

    #[test]
    fn result_for_any_bytes_is_final(
        start in prop_oneof![Just(&b""[..]), Just(V1_START), Just(V1_UNKNOWN), Just(PROXY_V2)],
        rest in proptest::collection::vec(any::<u8>(), 0..150),
    ) {
        let bytes = [start, &rest].concat();
        let whole = parse_header(&bytes);
        prop_assert!(bytes.len() < MAX_PARSED_BYTES || whole != Ok(None));
        for length in 0..bytes.len() {
            let part = parse_header(&bytes[..length]);
            prop_assert!(part == Ok(None) || part == whole);
        }
    }
}
