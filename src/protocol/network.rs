//! IP networks: an address, and the number of its bits that count.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// An IP network, such as `192.0.2.0/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "cluster", derive(serde::Serialize, serde::Deserialize))]
pub struct Network {
    /// The bits that do not count are zero.
    ip: IpAddr,
    bits: u32,
}

impl Network {
    /// Returns the network that counts as one client: an IPv4 address, or an IPv6 network of 64
    /// bits (RFC 4291, section 2.5.4), because one host can use all addresses in it. A link-local
    /// network is shared by all hosts on the link, so there it is the whole address.
    pub(crate) fn of_client(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V6(address) if !address.is_unicast_link_local() => {
                let network = Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64));
                Network { ip: network.into(), bits: 64 }
            }
            _ => Network { ip, bits: max_bits(ip) },
        }
    }

    /// Returns the first address.
    pub(crate) fn address(self) -> IpAddr {
        self.ip
    }

    /// Returns whether an address is in the network. An IPv4-mapped address must be canonical.
    pub(crate) fn contains(self, ip: IpAddr) -> bool {
        self.ip.is_ipv4() == ip.is_ipv4() && prefix(self.ip, self.bits) == prefix(ip, self.bits)
    }

    /// Returns the network, or the one of [`of_client`](Self::of_client) if that is larger.
    pub(crate) fn widened(self) -> Self {
        let client = Network::of_client(self.ip);
        if client.bits < self.bits { client } else { self }
    }

    /// Returns whether the network is larger than a /16 of IPv4 or a /32 of IPv6.
    pub(crate) fn is_wide(self) -> bool {
        self.bits < if self.ip.is_ipv4() { 16 } else { 32 }
    }
}

fn max_bits(ip: IpAddr) -> u32 {
    if ip.is_ipv4() { 32 } else { 128 }
}

/// Returns the first bits of an address, followed by zeros.
fn prefix(ip: IpAddr, bits: u32) -> u128 {
    let ip = match ip {
        IpAddr::V4(ip) => u128::from(ip.to_bits()) << 96,
        IpAddr::V6(ip) => ip.to_bits(),
    };
    ip & u128::MAX.checked_shl(128 - bits).unwrap_or(0)
}

impl FromStr for Network {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (ip, bits) = text.split_once('/').map_or((text, None), |(ip, bits)| (ip, Some(bits)));
        let ip: IpAddr = ip.parse().map_err(|_| ())?;
        let bits = match bits {
            Some(bits) if bits.starts_with('+') => return Err(()),
            Some(bits) => bits.parse().ok().filter(|bits| *bits <= max_bits(ip)).ok_or(())?,
            None => max_bits(ip),
        };
        // The address of a peer is canonical.
        let (ip, bits) = match ip.to_canonical() {
            canonical if ip.is_ipv6() && canonical.is_ipv4() => {
                (canonical, bits.saturating_sub(96))
            }
            _ => (ip, bits),
        };
        let prefix = prefix(ip, bits);
        Ok(match ip {
            IpAddr::V4(_) => {
                Network { ip: Ipv4Addr::from_bits((prefix >> 96) as u32).into(), bits }
            }
            IpAddr::V6(_) => Network { ip: Ipv6Addr::from_bits(prefix).into(), bits },
        })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Network { ip, bits } = self;
        if *bits == max_bits(*ip) { write!(f, "{ip}") } else { write!(f, "{ip}/{bits}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_that_do_not_count_are_zero() {
        for (text, expected) in [
            ("192.0.2.77/24", "192.0.2.0/24"),
            ("192.0.2.77", "192.0.2.77"),
            ("255.255.255.255/0", "0.0.0.0/0"),
            ("2001:db8::7/32", "2001:db8::/32"),
            ("::ffff:192.0.2.77/120", "192.0.2.0/24"),
            ("::ffff:192.0.2.77/90", "0.0.0.0/0"),
        ] {
            assert_eq!(text.parse::<Network>().unwrap().to_string(), expected);
        }
    }
}
