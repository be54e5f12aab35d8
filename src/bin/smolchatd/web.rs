//! The address that a person opens in a browser.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use rustix::net::{AddressFamily, SocketType, connect, getsockname, socket};

use smolchat::server::{ListenAddress, Listener};

/// An address for documentation (RFC 5737), with any port. Nothing is sent to it.
const REMOTE: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 1), 9);

/// Returns the address of the first listener that is not a unix socket, if there is one. If it
/// listens on all addresses of the machine, returns one of them.
pub fn find_address(listeners: &[Listener]) -> Option<SocketAddr> {
    let mut others = listeners.iter().filter(|listener| !listener.protocol().is_irc());
    let mut address = others.find_map(|listener| match listener.address() {
        ListenAddress::Inet(address) => Some(*address),
        _ => None,
    })?;
    if address.ip().is_unspecified() {
        let own = find_own_address().unwrap_or(Ipv4Addr::LOCALHOST);
        address.set_ip(own.into());
    }
    Some(address)
}

/// Returns the address from which this machine sends to others, if it has a route to them.
fn find_own_address() -> Option<Ipv4Addr> {
    // A datagram socket is connected without a packet.
    let socket = socket(AddressFamily::INET, SocketType::DGRAM, None).ok()?;
    connect(&socket, &REMOTE).ok()?;
    Some(*SocketAddrV4::try_from(getsockname(&socket).ok()?).ok()?.ip())
}
