//! Hosts and origins: the checks against DNS rebinding and cross-site requests.
//!
//! In DNS rebinding, a page of another site makes its own name point to the address of the server.
//! The browser then sends that name in `Host`. So only names that another site cannot have are
//! served.

use std::net::{Ipv4Addr, Ipv6Addr};

/// The ends of names that are for local networks, and cannot be registered.
const LOCAL_SUFFIXES: &[&[u8]] = &[b".local", b".lan", b".home.arpa", b".internal", b".localhost"];

/// The starts of URLs, and the usual ports.
const SCHEMES: &[(&[u8], &[u8])] = &[(b"http://", b":80"), (b"https://", b":443")];

/// Returns the host of `host` or `host:port`: a name, an IPv4 address, or an IPv6 address in
/// brackets. Returns `None` if the text is something else, or has a user.
pub fn parse_host(text: &[u8]) -> Option<&[u8]> {
    // The port is after the last colon, unless that is inside the brackets.
    let colon = text.iter().rposition(|&byte| byte == b':');
    let (host, port) = match colon {
        Some(index) if text.last() != Some(&b']') => text.split_at_checked(index)?,
        _ => (text, &b""[..]),
    };
    let is_port = port.iter().skip(1).all(u8::is_ascii_digit);
    (is_port && (is_ip(host) || is_name(host))).then_some(host)
}

/// Returns whether the server may be asked under this host: an address, a name that only exists in
/// a local network, or one of `hosts`.
pub fn is_served(host: &[u8], hosts: &[String]) -> bool {
    let name = without_dot(host);
    let is_local = |suffix: &&[u8]| {
        let start = name.len().checked_sub(suffix.len());
        let end = start.and_then(|start| name.get(start..));
        end.is_some_and(|end| end.eq_ignore_ascii_case(suffix))
    };
    let is_given = |host: &String| without_dot(host.as_bytes()).eq_ignore_ascii_case(name);
    is_ip(name)
        || !name.contains(&b'.')
        || LOCAL_SUFFIXES.iter().any(is_local)
        || hosts.iter().any(is_given)
}

/// Returns whether an `Origin` is that of a page from this host and port.
pub fn is_same_origin(origin: &[u8], authority: &[u8]) -> bool {
    let Some((usual_port, origin)) = split_scheme(origin) else { return false };
    // Both may leave out the usual port of the scheme. The server cannot see the scheme: a proxy in
    // front of it may speak TLS.
    let origin = origin.strip_suffix(usual_port).unwrap_or(origin);
    let authority = authority.strip_suffix(usual_port).unwrap_or(authority);
    origin.eq_ignore_ascii_case(authority)
}

/// Splits a URL after `http://` or `https://`. Returns the usual port of the scheme, with a colon,
/// and the rest of the URL, or `None` if it begins with neither.
pub fn split_scheme(url: &[u8]) -> Option<(&'static [u8], &[u8])> {
    for &(scheme, port) in SCHEMES {
        if let Some((found, rest)) = url.split_at_checked(scheme.len())
            && found.eq_ignore_ascii_case(scheme)
        {
            return Some((port, rest));
        }
    }
    None
}

/// Returns whether this is the name of a host without a port, as it is given with `--web-host`.
pub fn is_host_name(name: &str) -> bool {
    is_name(name.as_bytes())
}

/// Returns whether a host is an IPv4 address, or an IPv6 address in brackets.
fn is_ip(host: &[u8]) -> bool {
    let Ok(host) = str::from_utf8(host) else { return false };
    match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(inner) => inner.parse::<Ipv6Addr>().is_ok(),
        None => host.parse::<Ipv4Addr>().is_ok(),
    }
}

/// Returns whether a host is a name in the letters of DNS, with or without a dot at its end.
fn is_name(host: &[u8]) -> bool {
    let is_letter = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let mut labels = without_dot(host).split(|&byte| byte == b'.');
    labels.all(|label| !label.is_empty() && label.iter().all(is_letter))
}

fn without_dot(name: &[u8]) -> &[u8] {
    name.strip_suffix(b".").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_served(host: &str) -> Option<bool> {
        let hosts = ["chat.example.com".into(), "Room.Example.Org.".into()];
        parse_host(host.as_bytes()).map(|host| super::is_served(host, &hosts))
    }

    #[test]
    fn local_and_given_hosts_are_served() {
        for host in [
            "127.0.0.1",
            "192.168.1.1:8080",
            "8.8.8.8",
            "127.0.0.1.",
            "[::1]",
            "[::1]:8080",
            "[::1]:",
            "[FE80::1]:80",
            "[::ffff:10.0.0.1]",
            "router",
            "ROUTER:8080",
            "router:",
            "localhost",
            "localhost.:8080",
            "my_router",
            "chat.local",
            "CHAT.LOCAL.",
            "chat.lan:65535",
            "a.b.home.arpa",
            "chat.internal",
            "x.localhost",
            "chat.example.com",
            "CHAT.example.COM.:443",
            "room.example.org",
            "2130706433",
            "xn--bcher-kva.lan",
        ] {
            assert_eq!(is_served(host), Some(true), "{host}");
        }
    }

    #[test]
    fn hosts_of_other_sites_are_not_served() {
        for host in [
            "example.com",
            "evil.chat.example.com",
            "chat.example.com.evil.net",
            "evil-chat.example.com",
            "chat.local.evil.net",
            "evillocal.net",
            "192.168.1.1.nip.io",
            "1.2.3",
            "127.1",
            "0x7f.0.0.1",
            "127.0.0.01",
            "256.0.0.1",
            "1.2.3.4.5",
            "home.arpa",
            "local.com",
            "a.notlocal",
            "example.com.:8080",
        ] {
            assert_eq!(is_served(host), Some(false), "{host}");
        }
    }

    #[test]
    fn malformed_hosts_are_rejected() {
        for host in [
            "",
            ".",
            ":",
            ":8080",
            "..",
            "a..b",
            ".local",
            "a..",
            "router:x",
            "router:+80",
            "router:-1",
            "router:80:80",
            "router:80 ",
            " router",
            "a b",
            "a,b",
            "user@router",
            "user:pw@router",
            "evil.com@127.0.0.1",
            "evil.com/127.0.0.1",
            "evil.com#.lan",
            "evil.com?.lan",
            "evil.com\\.lan",
            "evil.com%2e.lan",
            "b\u{fc}cher.lan",
            "::1",
            "[::1",
            "::1]",
            "[]",
            "[::1]x",
            "[::1]80",
            "[fe80::1%eth0]",
            "[127.0.0.1]",
            "[v1.x]",
            "[[::1]]",
            "a\0.lan",
        ] {
            assert_eq!(is_served(host), None, "{host}");
        }
    }

    #[test]
    fn origin_of_the_same_host_and_port_is_accepted() {
        for (host, origin, expected) in [
            ("chat.lan:8080", "http://chat.lan:8080", true),
            ("Chat.LAN:8080", "HTTP://chat.lan:8080", true),
            ("chat.lan", "http://chat.lan", true),
            ("chat.lan", "http://chat.lan:80", true),
            ("chat.lan:80", "http://chat.lan", true),
            ("chat.lan", "https://chat.lan", true),
            ("chat.lan:443", "https://chat.lan", true),
            ("chat.lan", "https://chat.lan:443", true),
            ("chat.lan:8443", "https://chat.lan:8443", true),
            ("[::1]:8080", "http://[::1]:8080", true),
            ("chat.lan:8080", "http://chat.lan", false),
            ("chat.lan", "http://chat.lan:8080", false),
            ("chat.lan:80", "https://chat.lan", false),
            ("chat.lan", "http://chat.lan:443", false),
            ("chat.lan:8080", "http://chat.lan:8081", false),
            ("chat.lan", "http://evil.com", false),
            ("chat.lan", "http://evil.com/chat.lan", false),
            ("chat.lan", "http://chat.lan.evil.com", false),
            ("chat.lan", "http://chat.lan@evil.com", false),
            ("chat.lan", "http://evil.com@chat.lan", false),
            ("chat.lan", "http://chat.lan/", false),
            ("chat.lan", "http://chat.lan http://evil.com", false),
            ("chat.lan", "http://evil.com, http://chat.lan", false),
            ("chat.lan", "ws://chat.lan", false),
            ("chat.lan", "file://chat.lan", false),
            ("chat.lan", "chrome-extension://chat.lan", false),
            ("chat.lan", "//chat.lan", false),
            ("chat.lan", "chat.lan", false),
            ("null", "null", false),
            ("chat.lan", "null", false),
            ("chat.lan", "", false),
        ] {
            let is_same = is_same_origin(origin.as_bytes(), host.as_bytes());
            assert_eq!(is_same, expected, "{host} {origin}");
        }
    }
}
