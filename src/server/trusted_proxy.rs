//! The addresses of a proxy whose connections begin with a PROXY header.

use std::net::IpAddr;
use std::str::FromStr;

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
    /// An address and the number of its bits that count, or `None` for unix sockets.
    network: Option<(IpAddr, u32)>,
}

impl TrustedProxy {
    /// Returns whether a connection from `peer` is one of the proxy.
    pub(super) fn contains(self, peer: Peer) -> bool {
        match (self.network, peer) {
            (None, Peer::Unix(_)) => true,
            (Some((network, bits)), Peer::Inet(ip, _)) => {
                network.is_ipv4() == ip.is_ipv4() && prefix(network, bits) == prefix(ip, bits)
            }
            _ => false,
        }
    }
}

/// Returns the first bits of an address, followed by zeros.
fn prefix(ip: IpAddr, bits: u32) -> u128 {
    let ip = match ip {
        IpAddr::V4(ip) => u128::from(ip.to_bits()) << 96,
        IpAddr::V6(ip) => ip.to_bits(),
    };
    ip & u128::MAX.checked_shl(128 - bits).unwrap_or(0)
}

impl FromStr for TrustedProxy {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "unix" {
            return Ok(TrustedProxy { network: None });
        }
        let expected = "expected an address such as 192.0.2.1 or 2001:db8::/32, or unix";
        let (ip, bits) = text.split_once('/').map_or((text, None), |(ip, bits)| (ip, Some(bits)));
        let ip: IpAddr = ip.parse().map_err(|_| expected)?;
        let max_bits = if ip.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            Some(bits) if bits.starts_with('+') => return Err(expected),
            Some(bits) => bits.parse().ok().filter(|bits| *bits <= max_bits).ok_or(expected)?,
            None => max_bits,
        };
        // The address of a peer is canonical.
        let network = match ip.to_canonical() {
            canonical if ip.is_ipv6() && canonical.is_ipv4() && bits >= 96 => {
                (canonical, bits - 96)
            }
            _ => (ip, bits),
        };
        Ok(TrustedProxy { network: Some(network) })
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
