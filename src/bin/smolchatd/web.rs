//! The address that a person opens in a browser.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use rustix::net::{AddressFamily, SocketType, connect, getsockname, socket};

/// An address for documentation (RFC 5737), with any port. Nothing is sent to it.
const REMOTE: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 1), 9);

/// Returns the address of a listener or, if that is on all addresses of the machine, one of them.
pub fn browser_address(mut listener: SocketAddr) -> SocketAddr {
    if listener.ip().is_unspecified() {
        let own = find_own_address().unwrap_or(Ipv4Addr::LOCALHOST);
        listener.set_ip(own.into());
    }
    listener
}

/// Returns the address from which this machine sends to others, if it has a route to them.
fn find_own_address() -> Option<Ipv4Addr> {
    // A datagram socket is connected without a packet.
    let socket = socket(AddressFamily::INET, SocketType::DGRAM, None).ok()?;
    connect(&socket, &REMOTE).ok()?;
    Some(*SocketAddrV4::try_from(getsockname(&socket).ok()?).ok()?.ip())
}
