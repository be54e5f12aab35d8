//! Where clients come from: how many are here from each address, and how fast they come.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

/// Addresses remembered beyond twice the number of clients allowed.
const SPARE: usize = 256;
/// The most that one address takes, in bytes, in a table that grows by doubling.
pub const ADDRESS_RECORD_BYTES: usize = 3 * size_of::<(IpAddr, AddressRecord)>();

/// Addresses remembered by a room for so many clients.
pub fn max_known(max_clients: usize) -> usize {
    max_clients.saturating_mul(2).saturating_add(SPARE)
}

/// The clients of each address. Who has a network of IPv6 has all the addresses in it, so a
/// network (the first 64 bits, RFC 4291, section 2.5.4) counts as one address.
#[derive(Debug)]
pub struct Admission {
    known: HashMap<IpAddr, AddressRecord>,
    max_known: usize,
    max_clients: u32,
    /// The time that one connection costs its address; zero is no limit.
    interval: Duration,
    burst: u32,
}

#[derive(Debug, Default)]
struct AddressRecord {
    clients: u32,
    /// When all connections so far are paid for, at one an interval.
    paid: Duration,
}

/// Why an address gets no further connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It has as many clients here as it may.
    TooMany,
    /// Its connections come faster than they may.
    TooFast,
}

impl Admission {
    /// Nobody is here. `max_clients` from one address, and `rate` of them a second after `burst`
    /// at once, are let in; 0 is no limit for either. `room_for` is how many may be here in all.
    pub fn new(max_clients: usize, rate: u32, burst: u32, room_for: usize) -> Self {
        Admission {
            known: HashMap::new(),
            max_known: max_known(room_for),
            max_clients: u32::try_from(max_clients).unwrap_or(u32::MAX),
            interval: Duration::from_secs(1).checked_div(rate).unwrap_or_default(),
            burst: burst.max(1),
        }
    }

    /// Lets a client in, or says why not. The rate is counted as a line's is: by the generic cell
    /// rate algorithm (<https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm>).
    pub fn enter(&mut self, ip: IpAddr, now: Duration) -> Result<(), Refusal> {
        if self.known.len() >= self.max_known {
            self.forget(now);
        }
        let address = self.known.entry(network(ip)).or_default();
        if self.max_clients > 0 && address.clients >= self.max_clients {
            return Err(Refusal::TooMany);
        }
        let debt = address.paid.saturating_sub(now);
        if debt > self.interval * (self.burst - 1) {
            return Err(Refusal::TooFast);
        }
        address.paid = now + debt + self.interval;
        address.clients += 1;
        Ok(())
    }

    /// A client that was let in is gone.
    pub fn leave(&mut self, ip: IpAddr, now: Duration) {
        let network = network(ip);
        if let Some(address) = self.known.get_mut(&network) {
            address.clients = address.clients.saturating_sub(1);
            if address.clients == 0 && address.paid <= now {
                self.known.remove(&network);
            }
        }
    }

    /// The clients of each address that has any.
    #[cfg(test)]
    pub fn clients(&self) -> Vec<u32> {
        self.known.values().map(|address| address.clients).filter(|&clients| clients > 0).collect()
    }

    /// Forgets the addresses that have nobody here and owe nothing. If that is not enough, a
    /// crowd of addresses is at work that the rate of each does not stop: then those that owe
    /// something are forgotten, too, since the table must not grow.
    fn forget(&mut self, now: Duration) {
        self.known.retain(|_, address| address.clients > 0 || address.paid > now);
        if self.known.len() > self.max_known / 2 {
            self.known.retain(|_, address| address.clients > 0);
        }
        self.known.shrink_to(self.known.len() * 2);
    }
}

/// What of an address counts. Link-local addresses share their network with all neighbours, so
/// they count whole.
fn network(ip: IpAddr) -> IpAddr {
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
    fn a_burst_comes_in_and_then_the_rate_holds_for_that_address_alone() {
        let mut addresses = Admission::new(0, 20, 3, 10);
        let alice = ip("192.0.2.1");
        for _ in 0..3 {
            addresses.enter(alice, NOW).unwrap();
        }
        assert_eq!(addresses.enter(alice, NOW), Err(Refusal::TooFast));
        addresses.enter(ip("192.0.2.2"), NOW).unwrap();
        let next = NOW + Duration::from_millis(50);
        assert_eq!(addresses.enter(alice, next - Duration::from_nanos(1)), Err(Refusal::TooFast));
        addresses.enter(alice, next).unwrap();
        assert_eq!(addresses.enter(alice, next), Err(Refusal::TooFast));
        let later = NOW + Duration::from_secs(60);
        for _ in 0..3 {
            addresses.enter(alice, later).unwrap();
        }
        assert_eq!(addresses.enter(alice, later), Err(Refusal::TooFast));
    }

    #[test]
    fn rate_zero_is_no_limit_and_neither_is_a_number_of_zero() {
        let mut addresses = Admission::new(0, 0, 0, 10);
        for _ in 0..1000 {
            addresses.enter(ip("192.0.2.1"), NOW).unwrap();
        }
    }

    #[test]
    fn who_is_turned_away_pays_nothing_and_takes_no_place() {
        let mut addresses = Admission::new(1, 20, 100, 10);
        let alice = ip("192.0.2.1");
        addresses.enter(alice, NOW).unwrap();
        for _ in 0..1000 {
            assert_eq!(addresses.enter(alice, NOW), Err(Refusal::TooMany));
        }
        addresses.leave(alice, NOW);
        addresses.enter(alice, NOW).unwrap();
    }

    #[test]
    fn a_network_of_ipv6_is_one_address_but_neighbours_on_a_link_are_many() {
        let mut addresses = Admission::new(1, 0, 0, 10);
        addresses.enter(ip("2001:db8::1"), NOW).unwrap();
        assert_eq!(addresses.enter(ip("2001:db8::2:1"), NOW), Err(Refusal::TooMany));
        addresses.enter(ip("2001:db8:0:1::1"), NOW).unwrap();
        addresses.enter(ip("fe80::1"), NOW).unwrap();
        addresses.enter(ip("fe80::2"), NOW).unwrap();
    }

    #[test]
    fn the_table_is_bounded_and_keeps_those_who_are_here() {
        let mut addresses = Admission::new(1, 1, 1, 10);
        let alice = ip("192.0.2.1");
        addresses.enter(alice, NOW).unwrap();
        for number in 0..100_000u32 {
            let other = IpAddr::from(number.to_be_bytes());
            addresses.enter(other, NOW).unwrap();
            addresses.leave(other, NOW);
            assert!(addresses.known.len() <= 2 * 10 + SPARE);
        }
        assert_eq!(addresses.enter(alice, NOW), Err(Refusal::TooMany));
        addresses.leave(alice, NOW + Duration::from_secs(1));
        addresses.forget(NOW + Duration::from_secs(1));
        assert!(addresses.known.is_empty());
    }
}
