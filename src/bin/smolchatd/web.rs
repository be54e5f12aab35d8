//! The address that a person opens in a browser.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use rustix::net::{AddressFamily, SocketType, connect, getsockname, socket};

use smolchat::server::{ListenAddress, Listener};

/// An address of the network for documentation, and any port. Nothing is sent to it.
const REMOTE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 9);

/// Returns a URL of the chat for the first listener that has a port, or none if there is no such
/// listener.
pub fn find_url(listeners: &[Listener]) -> Option<String> {
    let address = listeners.iter().find_map(|listener| match listener.address() {
        ListenAddress::Inet(address) => Some(*address),
        _ => None,
    })?;
    let own = Some(address.ip()).filter(|ip| !ip.is_unspecified()).or_else(find_own_address);
    let ip = own.unwrap_or(Ipv4Addr::LOCALHOST.into());
    Some(format!("http://{}", SocketAddr::new(ip, address.port())))
}

/// Returns the address from which this machine sends to others, if it has a route to them.
fn find_own_address() -> Option<IpAddr> {
    // A datagram socket is connected without a packet.
    let socket = socket(AddressFamily::INET, SocketType::DGRAM, None).ok()?;
    connect(&socket, &REMOTE).ok()?;
    let own = SocketAddr::try_from(getsockname(&socket).ok()?).ok()?;
    Some(own.ip()).filter(|ip| !ip.is_unspecified())
}
