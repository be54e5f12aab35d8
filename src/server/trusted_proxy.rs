//! The addresses of a proxy whose connections begin with a PROXY header.

use std::str::FromStr;

use crate::protocol::Network;
use crate::room::Peer;

/// The addresses of a proxy: a network, or all unix sockets.
///
/// It is parsed from an IP address, a network such as `10.0.0.0/8`, or `unix`.
///
/// # Examples
///
/// ```
/// use smolchat::server::{Config, TrustedProxy};
///
/// let mut config = Config::default();
/// config.trusted_proxies.push("10.0.0.0/8".parse().unwrap());
/// assert!("proxy.example".parse::<TrustedProxy>().is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrustedProxy {
    /// `None` for unix sockets.
    network: Option<Network>,
}

impl TrustedProxy {
    /// Returns whether a connection from `peer` is one of the proxy.
    pub(super) fn contains(self, peer: Peer) -> bool {
        match (self.network, peer) {
            (None, Peer::Unix(_)) => true,
            (Some(network), Peer::Inet(ip, _)) => network.contains(ip),
            _ => false,
        }
    }
}

impl FromStr for TrustedProxy {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "unix" {
            return Ok(TrustedProxy { network: None });
        }
        let expected = "expected an address such as 192.0.2.1 or 2001:db8::/32, or unix";
        Ok(TrustedProxy { network: Some(text.parse().map_err(|()| expected)?) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trusted_proxy_contains_its_network_alone() {
        let ip = |text: &str| Peer::Inet(text.parse().unwrap(), 1);
        for (proxy, inside, outside) in [
            ("192.0.2.1", "192.0.2.1", "192.0.2.2"),
            ("192.0.2.129/25", "192.0.2.255", "192.0.2.127"),
            ("0.0.0.0/0", "255.255.255.255", "::1"),
            ("::/0", "2001:db8::1", "192.0.2.1"),
            ("2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::1"),
            ("::1", "::1", "127.0.0.1"),
            ("::ffff:192.0.2.1", "192.0.2.1", "192.0.2.0"),
            ("::ffff:10.0.0.0/104", "10.1.2.3", "11.0.0.0"),
            ("fe80::1", "fe80::1", "fe80::2"),
        ] {
            let proxy: TrustedProxy = proxy.parse().unwrap();
            assert!(proxy.contains(ip(inside)), "{proxy:?}");
            assert!(!proxy.contains(ip(outside)) && !proxy.contains(Peer::Unix(None)), "{proxy:?}");
        }
        let unix: TrustedProxy = "unix".parse().unwrap();
        assert!(unix.contains(Peer::Unix(None)) && !unix.contains(ip("::1")));
        for text in
            ["", "proxy.example", "192.0.2.1:80", "192.0.2.1/33", "::1/129", "::1/", "::1/+1"]
        {
            assert!(text.parse::<TrustedProxy>().is_err(), "{text}");
        }
    }
}
