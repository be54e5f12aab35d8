//! The address that a person opens in a browser.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use rustix::net::{AddressFamily, SocketType, connect, getsockname, socket};

use smolchat::server::Listener;

/// An address of the network for documentation, and any port. Nothing is sent to it.
const REMOTE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 9);

/// Returns a URL of the chat for the first listener that has a port, or none if there is no such
/// listener.
pub fn find_url(listeners: &[Listener]) -> Option<String> {
    let mut addresses = listeners.iter().filter_map(|listener| listener.to_string().parse().ok());
    let address: SocketAddr = addresses.next()?;
    let host = match address.ip() {
        ip if !ip.is_unspecified() => SocketAddr::new(ip, address.port()).to_string(),
        _ => match find_own_address() {
            Some(ip) => SocketAddr::new(ip, address.port()).to_string(),
            None => format!("localhost:{}", address.port()),
        },
    };
    Some(format!("http://{host}"))
}

/// Returns the address from which this machine sends to others, if it has a route to them.
fn find_own_address() -> Option<IpAddr> {
    // A datagram socket is connected without a packet.
    let socket = socket(AddressFamily::INET, SocketType::DGRAM, None).ok()?;
    connect(&socket, &REMOTE).ok()?;
    let own = SocketAddr::try_from(getsockname(&socket).ok()?).ok()?;
    Some(own.ip()).filter(|ip| !ip.is_unspecified())
}
