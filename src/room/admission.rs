//! Admission: limits on the clients of the room and of one address.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use super::Peer;
use crate::protocol::Network;
use crate::rate_limit::{Rate, RateLimiter};

/// Addresses in the table beyond twice the number of clients.
const SPARE_ADDRESSES: usize = 256;
/// The most visitors in a small room.
const MIN_VISITORS: usize = 8;
/// The most visitors in a small room with a password.
const MIN_WITHOUT_PASSWORD: usize = 16;
/// The places for operators, beside those of all clients.
const OPERATOR_PLACES: usize = 4;
/// The most bytes for one address, in a table that grows by doubling.
pub const ADDRESS_RECORD_BYTES: usize = 3 * size_of::<(Origin, AddressRecord)>();

/// Returns the most addresses in the table of a room for `max_clients`.
pub fn max_addresses(max_clients: usize) -> usize {
    max_clients.saturating_mul(2).saturating_add(SPARE_ADDRESSES)
}

/// Returns the most connections in a room for `max_clients`: a quarter of that number, at least 16,
/// may be ending.
pub fn max_connections(max_clients: usize) -> usize {
    max_clients.saturating_add((max_clients / 4).max(16))
}

/// Returns the most visitors in a room for `max_clients`. One origin may have half of them.
///
/// A client sends its first line at once, so a place is free again after a round trip. A crowd that
/// returns at the same time needs some attempts.
///
/// In a room with a password every client is a visitor until it has sent that.
pub fn max_visitors(max_clients: usize, has_password: bool) -> usize {
    match has_password {
        true => (max_clients / 8).max(MIN_WITHOUT_PASSWORD),
        false => (max_clients / 16).max(MIN_VISITORS),
    }
}

/// The part of a peer's address by which clients are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The first address of the network of a client, see [`Network::of_client`].
    Network(IpAddr),
    /// The user of a process that is connected to a unix socket. It is not limited in clients and
    /// new connections.
    User(u32),
    /// All proxies that have not told the address of their client. No limit by address applies.
    Proxy,
}

impl Origin {
    /// Returns whether the limits on the clients and the new connections of one address apply.
    pub fn is_network(self) -> bool {
        matches!(self, Origin::Network(_))
    }
}

impl From<Peer> for Origin {
    fn from(peer: Peer) -> Self {
        match peer {
            Peer::Inet(ip, _) => Origin::Network(Network::of_client(ip).address()),
            Peer::Unix(Some(user)) => Origin::User(user),
            Peer::Unix(None) | Peer::Proxy(..) => Origin::Proxy,
        }
    }
}

/// A limit that a new client exceeds, with its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The room has as many clients as allowed.
    RoomFull(usize),
    /// The nodes together have as many members as allowed.
    #[cfg(feature = "cluster")]
    ClusterFull(usize),
    /// The address has as many clients as allowed.
    AddressFull(usize),
    /// The address opens connections faster than this number per second.
    TooFast(usize),
}

impl Refusal {
    /// Returns the option of `smolchatd` that sets the limit, and its value.
    pub fn option(self) -> (&'static str, usize) {
        match self {
            Refusal::RoomFull(max) => ("--max-clients", max),
            #[cfg(feature = "cluster")]
            Refusal::ClusterFull(max) => ("--max-members", max),
            Refusal::AddressFull(max) => ("--max-per-ip", max),
            Refusal::TooFast(rate) => ("--connect-rate", rate),
        }
    }
}

/// The text that the client is sent.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (text, value, unit) = match *self {
            Refusal::RoomFull(1) => ("the server is full", 1, " client"),
            Refusal::RoomFull(max) => ("the server is full", max, " clients"),
            #[cfg(feature = "cluster")]
            Refusal::ClusterFull(max) => ("the room is full", max, " members on all servers"),
            Refusal::AddressFull(max) => ("too many connections from your address", max, ""),
            Refusal::TooFast(rate) => {
                ("too many connections per second from your address", rate, "")
            }
        };
        write!(f, "{text}: {value}{unit}")
    }
}

/// The limits on clients, and the clients of each origin.
///
/// A client for which there is no place is admitted as a visitor: it can still prove with its token
/// that it is a member whose place it takes over. Visitors are few, and are refused with their
/// first line or after the hello wait.
#[derive(Debug)]
pub struct Admission {
    table: HashMap<Origin, AddressRecord>,
    /// Clients with a place.
    clients: usize,
    visitors: usize,
    /// Clients that have left and whose connections are still ending.
    ending: usize,
    /// The most clients with a place.
    max_clients: usize,
    /// The most connections, those that are ending included.
    max_connections: usize,
    /// The most clients with a place of one address; 0 = no limit.
    max_per_address: usize,
    /// New connections from one address.
    rate: Rate,
    /// The connections per second of `rate`, for the text of a refusal.
    connect_rate: usize,
    /// Each client is a visitor at first.
    has_password: bool,
}

#[derive(Debug, Default)]
struct AddressRecord {
    /// Clients with a place.
    clients: u32,
    visitors: u32,
    /// Clients that have left and whose connections are still ending.
    ending: u32,
    new_connections: RateLimiter,
    /// The recent connections in a room with a password: one is forgotten each second.
    recent_connections: RateLimiter,
}

/// The most recent connections of an address that are counted.
const MAX_RECENT: u32 = 1000;
/// The recent connections of an address that do not count: the page of a browser needs about ten.
const USUAL_RECENT: u32 = 10;

fn recent_rate() -> Rate {
    Rate::new(1, MAX_RECENT)
}

impl Admission {
    /// Creates an empty table for at most `max_clients` clients and `max_per_address` of one
    /// address (0 = no limit), whose new connections have a rate and a burst (0 = no limit).
    pub fn new(
        max_clients: usize,
        max_per_address: usize,
        (rate, burst): (u32, u32),
        has_password: bool,
    ) -> Self {
        Admission {
            table: HashMap::new(),
            clients: 0,
            visitors: 0,
            ending: 0,
            max_clients,
            max_connections: max_connections(max_clients),
            max_per_address,
            rate: Rate::new(rate, burst),
            connect_rate: rate as usize,
            has_password,
        }
    }

    /// Admits a client, and returns whether it is a visitor. A client that is refused is not
    /// counted. Of the connections that are ending, an address may have as many as clients, so that
    /// it cannot take the places of others by not reading.
    pub fn admit(&mut self, origin: Origin, now: Duration) -> Result<bool, Refusal> {
        if self.table.len() >= max_addresses(self.max_clients) {
            self.remove_idle(now);
        }
        let full = self.find_full(origin);
        if let Some(refusal) = full
            && !self.has_place_for_visitor(origin)
        {
            return Err(refusal);
        }
        let address = self.table.entry(origin).or_default();
        if origin.is_network() && !address.new_connections.try_take(self.rate, now) {
            return Err(full.unwrap_or(Refusal::TooFast(self.connect_rate)));
        }
        if self.has_password {
            // Connections beyond the limit are not counted: all are forgotten within 1000 seconds.
            let _ = address.recent_connections.try_take(recent_rate(), now);
        }
        let is_visitor = full.is_some() || self.has_password;
        let (in_room, of_address) = match is_visitor {
            false => (&mut self.clients, &mut address.clients),
            true => (&mut self.visitors, &mut address.visitors),
        };
        *in_room += 1;
        *of_address += 1;
        Ok(is_visitor)
    }

    /// Admits an operator as a visitor where others are refused, and returns whether it did. A raid
    /// must not keep the operators of the machine out.
    pub fn admit_operator(&mut self, origin: Origin) -> bool {
        let most = max_visitors(self.max_clients, self.has_password) + OPERATOR_PLACES;
        let is_admitted = self.visitors < most;
        if is_admitted {
            self.visitors += 1;
            self.table.entry(origin).or_default().visitors += 1;
        }
        is_admitted
    }

    /// Returns the limit for which there is no place for a client of an origin, or none if there is
    /// a place.
    pub fn find_full(&self, origin: Origin) -> Option<Refusal> {
        // The clients without the password must not take the places of the others.
        let visitors = if self.has_password { 0 } else { self.visitors };
        let connections = self.clients + visitors + self.ending;
        if self.clients >= self.max_clients || connections >= self.max_connections {
            return Some(Refusal::RoomFull(self.max_clients));
        }
        self.find_full_address(origin)
    }

    /// Returns the limit on the clients of an origin, if it is reached.
    pub fn find_full_address(&self, origin: Origin) -> Option<Refusal> {
        let max = self.max_for(origin)?;
        let (clients, ending) = self.table.get(&origin).map_or((0, 0), AddressRecord::places);
        let is_full = clients >= max || clients + ending >= 2 * max;
        is_full.then_some(Refusal::AddressFull(max))
    }

    /// Returns the most clients with a place of an origin, or none if there is no limit.
    fn max_for(&self, origin: Origin) -> Option<usize> {
        let max = self.max_per_address;
        (max > 0 && origin.is_network()).then_some(max)
    }

    /// Returns whether one more visitor of an origin is allowed. A member that took its place over
    /// from another address counts as a visitor of the new one, if that is full.
    fn has_place_for_visitor(&self, origin: Origin) -> bool {
        if self.has_password {
            // The room drops the oldest one.
            return true;
        }
        let max = max_visitors(self.max_clients, false);
        let own = self.table.get(&origin).map_or(0, |address| {
            let (clients, _) = address.places();
            let excess = self.max_for(origin).map_or(0, |max| clients.saturating_sub(max));
            address.visitors as usize + excess
        });
        self.visitors < max && own < max / 2
    }

    /// Returns whether there are more visitors than allowed.
    pub fn has_excess_visitor(&self) -> bool {
        self.visitors > max_visitors(self.max_clients, self.has_password)
    }

    /// Returns the visitors of an origin.
    pub fn visitors_of(&self, origin: Origin) -> u32 {
        self.table.get(&origin).map_or(0, |address| address.visitors)
    }

    /// Returns the recent connections of an origin beyond the usual ones, in a room with a password:
    /// one is forgotten each second.
    pub fn excess_connections(&self, origin: Origin, now: Duration) -> usize {
        const LIMIT: usize = (MAX_RECENT - USUAL_RECENT) as usize;
        let address = self.table.get(&origin);
        let left = address.map(|address| address.recent_connections.available(recent_rate(), now));
        LIMIT.saturating_sub(left.unwrap_or(LIMIT))
    }

    /// Returns whether an operator can have a place in a full room.
    pub fn has_operator_place(&self) -> bool {
        self.clients < self.max_clients + OPERATOR_PLACES
            && self.clients + self.ending < self.max_connections
    }

    /// Gives a place to a visitor, which has taken over that of a member or for which there is one.
    pub fn promote(&mut self, origin: Origin) {
        if let Some(address) = self.table.get_mut(&origin) {
            address.visitors = address.visitors.saturating_sub(1);
            address.clients += 1;
        }
        self.visitors = self.visitors.saturating_sub(1);
        self.clients += 1;
    }

    /// Removes an admitted client or visitor. Its connection is ending.
    pub fn leave(&mut self, origin: Origin, is_visitor: bool) {
        let count = if is_visitor { &mut self.visitors } else { &mut self.clients };
        *count = count.saturating_sub(1);
        self.ending += 1;
        if let Some(address) = self.table.get_mut(&origin) {
            let count = if is_visitor { &mut address.visitors } else { &mut address.clients };
            *count = count.saturating_sub(1);
            address.ending += 1;
        }
    }

    /// Removes a connection that has ended.
    pub fn release(&mut self, origin: Origin, now: Duration) {
        self.ending = self.ending.saturating_sub(1);
        if let Some(address) = self.table.get_mut(&origin) {
            address.ending = address.ending.saturating_sub(1);
            if address.is_idle(now) {
                self.table.remove(&origin);
            }
        }
    }

    /// Returns the number of clients with a place.
    pub fn len(&self) -> usize {
        self.clients
    }

    /// Returns the number of clients of each address that has any.
    #[cfg(test)]
    pub fn clients(&self) -> Vec<u32> {
        self.table.values().map(|address| address.clients).filter(|&clients| clients > 0).collect()
    }

    /// Removes addresses without connections whose rate limiter is idle. If many are left, removes
    /// all addresses without connections: the table must not grow.
    fn remove_idle(&mut self, now: Duration) {
        self.table.retain(|_, address| !address.is_idle(now));
        if self.table.len() > max_addresses(self.max_clients) / 2 {
            self.table.retain(|_, address| address.has_connections());
        }
        self.table.shrink_to(self.table.len() * 2);
    }
}

impl AddressRecord {
    /// Returns the clients with a place, and the ending connections.
    fn places(&self) -> (usize, usize) {
        (self.clients as usize, self.ending as usize)
    }

    fn has_connections(&self) -> bool {
        self.clients > 0 || self.visitors > 0 || self.ending > 0
    }

    /// Returns whether the record is the same as a new one.
    fn is_idle(&self, now: Duration) -> bool {
        !self.has_connections()
            && self.new_connections.is_idle(now)
            && self.recent_connections.is_idle(now)
    }
}

#[cfg(test)]
mod tests;
