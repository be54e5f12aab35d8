//! Admission: limits on the clients of one address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use crate::rate_limit::{Rate, RateLimiter};

/// Addresses in the table beyond twice the number of clients.
const SPARE_ADDRESSES: usize = 256;
/// The most bytes for one address, in a table that grows by doubling.
pub const ADDRESS_RECORD_BYTES: usize = 3 * size_of::<(IpAddr, AddressRecord)>();

/// Returns the most addresses in the table of a room for `max_clients`.
pub fn max_addresses(max_clients: usize) -> usize {
    max_clients.saturating_mul(2).saturating_add(SPARE_ADDRESSES)
}

/// A table of addresses and the number of their clients. An IPv6 network of 64 bits counts as one
/// address (RFC 4291, section 2.5.4), because one host can use all addresses in it.
#[derive(Debug)]
pub struct Admission {
    table: HashMap<IpAddr, AddressRecord>,
    max_addresses: usize,
    /// Clients at once from one address; 0 = no limit.
    max_clients: u32,
    /// New connections from one address.
    rate: Rate,
}

#[derive(Debug, Default)]
struct AddressRecord {
    clients: u32,
    /// Clients that have left and whose connections are still ending.
    ending: u32,
    new_connections: RateLimiter,
}

impl AddressRecord {
    fn connections(&self) -> u32 {
        self.clients.saturating_add(self.ending)
    }
}

/// The reason for which a client is not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There are as many clients as allowed.
    TooMany,
    /// The address connects too often.
    TooFast,
}

impl Admission {
    /// Creates an empty table. `max_clients` limits the clients of one address (0 = no limit),
    /// `rate` its new connections, and `room_size` is the number of clients of all addresses.
    pub fn new(max_clients: usize, rate: Rate, room_size: usize) -> Self {
        Admission {
            table: HashMap::new(),
            max_addresses: max_addresses(room_size),
            max_clients: u32::try_from(max_clients).unwrap_or(u32::MAX),
            rate,
        }
    }

    /// Admits a client of an address. A client that is refused is not counted. Of the connections
    /// that are ending, an address may have as many again as clients, so that it cannot take the
    /// places of others by not reading.
    pub fn admit(&mut self, ip: IpAddr, now: Duration) -> Result<(), Refusal> {
        if self.table.len() >= self.max_addresses {
            self.remove_idle(now);
        }
        let address = self.table.entry(to_network(ip)).or_default();
        if self.max_clients > 0
            && (address.clients >= self.max_clients
                || address.connections() >= self.max_clients.saturating_mul(2))
        {
            return Err(Refusal::TooMany);
        }
        if !address.new_connections.try_take(self.rate, now) {
            return Err(Refusal::TooFast);
        }
        address.clients += 1;
        Ok(())
    }

    /// Removes an admitted client of an address. Its connection is ending.
    pub fn leave(&mut self, ip: IpAddr) {
        if let Some(address) = self.table.get_mut(&to_network(ip)) {
            address.clients = address.clients.saturating_sub(1);
            address.ending += 1;
        }
    }

    /// Removes a connection that has ended.
    pub fn release(&mut self, ip: IpAddr, now: Duration) {
        let network = to_network(ip);
        if let Some(address) = self.table.get_mut(&network) {
            address.ending = address.ending.saturating_sub(1);
            if address.connections() == 0 && address.new_connections.is_idle(now) {
                self.table.remove(&network);
            }
        }
    }

    /// Returns the number of clients of each address that has any.
    #[cfg(test)]
    pub fn clients(&self) -> Vec<u32> {
        self.table.values().map(|address| address.clients).filter(|&clients| clients > 0).collect()
    }

    /// Removes addresses without connections whose rate limiter is idle. If many are left, removes
    /// all addresses without connections: the table must not grow.
    fn remove_idle(&mut self, now: Duration) {
        self.table.retain(|_, address| {
            address.connections() > 0 || !address.new_connections.is_idle(now)
        });
        if self.table.len() > self.max_addresses / 2 {
            self.table.retain(|_, address| address.connections() > 0);
        }
        self.table.shrink_to(self.table.len() * 2);
    }
}

/// Returns the address by which a client is counted. A link-local IPv6 network is shared by all
/// hosts on the link, so there the whole address counts.
fn to_network(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V6(ip) if !ip.is_unicast_link_local() => {
            Ipv6Addr::from_bits(ip.to_bits() & (u128::MAX << 64)).into()
        }
        ip => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(100);

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn rate_limits_one_address_alone() {
        let mut admission = Admission::new(0, Rate::new(20, 3), 10);
        let alice = ip("192.0.2.1");
        for _ in 0..3 {
            admission.admit(alice, NOW).unwrap();
        }
        assert_eq!(admission.admit(alice, NOW), Err(Refusal::TooFast));
        admission.admit(ip("192.0.2.2"), NOW).unwrap();
        let next = NOW + Duration::from_millis(50);
        assert_eq!(admission.admit(alice, next - Duration::from_nanos(1)), Err(Refusal::TooFast));
        admission.admit(alice, next).unwrap();
        assert_eq!(admission.admit(alice, next), Err(Refusal::TooFast));
        let later = NOW + Duration::from_secs(60);
        for _ in 0..3 {
            admission.admit(alice, later).unwrap();
        }
        assert_eq!(admission.admit(alice, later), Err(Refusal::TooFast));
    }

    #[test]
    fn limits_of_zero_are_no_limits() {
        let mut admission = Admission::new(0, Rate::new(0, 0), 10);
        for _ in 0..1000 {
            admission.admit(ip("192.0.2.1"), NOW).unwrap();
        }
    }

    #[test]
    fn refused_client_is_not_counted() {
        let mut admission = Admission::new(1, Rate::new(20, 100), 10);
        let alice = ip("192.0.2.1");
        admission.admit(alice, NOW).unwrap();
        for _ in 0..1000 {
            assert_eq!(admission.admit(alice, NOW), Err(Refusal::TooMany));
        }
        admission.leave(alice);
        admission.release(alice, NOW);
        admission.admit(alice, NOW).unwrap();
    }

    #[test]
    fn ending_connections_of_address_are_limited() {
        let mut admission = Admission::new(2, Rate::new(0, 0), 10);
        let alice = ip("192.0.2.1");
        for _ in 0..4 {
            admission.admit(alice, NOW).unwrap();
            admission.leave(alice);
        }
        assert_eq!(admission.admit(alice, NOW), Err(Refusal::TooMany));
        admission.admit(ip("192.0.2.2"), NOW).unwrap();
        admission.release(alice, NOW);
        admission.admit(alice, NOW).unwrap();
        assert_eq!(admission.admit(alice, NOW), Err(Refusal::TooMany));
    }

    #[test]
    fn ipv6_network_counts_as_one_address() {
        let mut admission = Admission::new(1, Rate::new(0, 0), 10);
        admission.admit(ip("2001:db8::1"), NOW).unwrap();
        assert_eq!(admission.admit(ip("2001:db8::2:1"), NOW), Err(Refusal::TooMany));
        admission.admit(ip("2001:db8:0:1::1"), NOW).unwrap();
        admission.admit(ip("fe80::1"), NOW).unwrap();
        admission.admit(ip("fe80::2"), NOW).unwrap();
    }

    #[test]
    fn table_is_bounded_and_keeps_connected_clients() {
        let mut admission = Admission::new(1, Rate::new(1, 1), 10);
        let alice = ip("192.0.2.1");
        admission.admit(alice, NOW).unwrap();
        for number in 0..100_000u32 {
            let other = IpAddr::from(number.to_be_bytes());
            admission.admit(other, NOW).unwrap();
            admission.leave(other);
            admission.release(other, NOW);
            assert!(admission.table.len() <= 2 * 10 + SPARE_ADDRESSES);
        }
        assert_eq!(admission.admit(alice, NOW), Err(Refusal::TooMany));
        admission.leave(alice);
        admission.release(alice, NOW + Duration::from_secs(1));
        admission.remove_idle(NOW + Duration::from_secs(1));
        assert!(admission.table.is_empty());
    }
}
