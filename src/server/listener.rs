//! A listener: a socket on which clients connect.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use log::info;
use rustix::io::Errno;
use rustix::net::sockopt;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, acceptfrom_with, socket_with,
};
use smol::Async;

use super::listen_address::ListenAddress;
use super::unix_socket::{self, SocketFile};
use crate::room::Peer;

/// Connections that may wait to be accepted. The kernel reduces it to its own limit
/// (`net.core.somaxconn`).
const BACKLOG: i32 = 4096;
/// The silence after which a client is probed. A client that has vanished is noticed a minute later.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
/// The time between two probes.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
/// Probes without an answer after which the connection is closed.
const KEEPALIVE_COUNT: u32 = 4;
/// Milliseconds after which a connection with unacknowledged data is closed.
const USER_TIMEOUT: u32 = 120_000;

/// The socket buffers of one connection, in bytes. The kernel doubles them for its own overhead
/// (socket(7)).
///
/// By default the kernel holds megabytes for a client that does not read, which a small machine
/// does not have. With a hundred such clients, the others cost three times the CPU time until these
/// are closed as slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Buffers {
    /// The send buffer. Default: 128 KiB.
    pub send: usize,
    /// The receive buffer. Default: 64 KiB.
    pub receive: usize,
}

impl Buffers {
    /// Returns the kernel memory for both.
    pub(crate) fn kernel_bytes(self) -> usize {
        self.send.saturating_add(self.receive).saturating_mul(2)
    }
}

impl Default for Buffers {
    fn default() -> Self {
        Buffers { send: 128 * 1024, receive: 64 * 1024 }
    }
}

/// The protocol of the clients of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenerProtocol {
    /// Lines, or what their first bytes show.
    Chat,
    /// IRC.
    #[cfg(feature = "irc")]
    Irc,
}

impl ListenerProtocol {
    /// Returns whether the clients speak IRC.
    pub fn is_irc(self) -> bool {
        self != ListenerProtocol::Chat
    }
}

/// A socket on which clients connect.
///
/// Its `Display` is the address with the real port. Dropping it removes the file of a unix socket,
/// except of a socket that was [adopted](Self::adopt), and except if another file has its path.
#[derive(Debug)]
pub struct Listener {
    /// `None` for TCP, and for an adopted socket. Dropped before the socket.
    _file: Option<SocketFile>,
    socket: Async<OwnedFd>,
    address: ListenAddress,
    /// The buffers of its connections.
    buffers: Buffers,
    /// The socket belongs to a service manager.
    is_adopted: bool,
    protocol: ListenerProtocol,
}

impl Listener {
    /// Listens on an address. The file of a unix socket that an ended server left is replaced; to
    /// give it a mode, the umask of the process is changed for a moment.
    ///
    /// # Errors
    ///
    /// Returns the error of the system if the address is in use (for a unix socket: by a running
    /// server, or by a file that is not a socket), belongs to another machine, or is not permitted,
    /// or an error if the group of a unix socket is unknown.
    pub fn bind(address: &ListenAddress, buffers: Buffers) -> io::Result<Self> {
        Self::bind_families(address, false, buffers)
    }

    /// Listens on all of `addresses`, beside the `adopted` listeners, for clients that speak the
    /// protocol of each address.
    ///
    /// `[::]:8080` is for IPv6 alone if there is also an IPv4 address with the same port. An
    /// address that an adopted listener for both families serves already is left out.
    ///
    /// # Errors
    ///
    /// Returns the first error of [`bind`](Self::bind), with the address.
    pub fn bind_all(
        addresses: &[(ListenAddress, ListenerProtocol)],
        adopted: &[Listener],
        buffers: Buffers,
    ) -> io::Result<Vec<Self>> {
        let adopted_addresses = adopted.iter().map(|listener| &listener.address);
        let all = || addresses.iter().map(|(other, _)| other).chain(adopted_addresses.clone());
        let mut listeners = Vec::new();
        for (address, protocol) in addresses {
            let serves = |listener: &&Listener| {
                listener.is_dual_stack()
                    && listener.address.port() == address.port()
                    && listener.protocol == *protocol
            };
            if let Some(listener) = adopted.iter().find(serves) {
                info!("{listener} serves {address}, too");
                continue;
            }
            let is_ipv6_only = all().any(|other| address.leaves_ipv4_to(other));
            let bound = Self::bind_families(address, is_ipv6_only, buffers);
            let bound = bound.map_err(|error| {
                io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
            })?;
            listeners.push(Listener { protocol: *protocol, ..bound });
        }
        Ok(listeners)
    }

    fn bind_families(
        address: &ListenAddress,
        is_ipv6_only: bool,
        buffers: Buffers,
    ) -> io::Result<Self> {
        let (socket, file) = match address {
            ListenAddress::Port(port) => (bind_port(*port, is_ipv6_only)?, None),
            ListenAddress::Inet(address) => (bind_tcp(*address, is_ipv6_only)?, None),
            ListenAddress::Unix { path, mode, group } => {
                let (socket, file) = unix_socket::bind(path, *mode, group.as_deref())?;
                (socket, Some(file))
            }
        };
        rustix::net::listen(&socket, BACKLOG)?;
        Self::new(socket, file, buffers, false)
    }

    /// Adopts a listening socket, such as one from a service manager. Its backlog and the file of a
    /// unix socket are left as they are.
    ///
    /// # Errors
    ///
    /// Returns an error if the socket is not a listening stream socket, TCP or unix.
    pub fn adopt(socket: OwnedFd, buffers: Buffers) -> io::Result<Self> {
        if sockopt::socket_type(&socket)? != SocketType::STREAM
            || !sockopt::socket_acceptconn(&socket)?
        {
            let text = "not a listening stream socket";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        Self::new(socket, None, buffers, true)
    }

    fn new(
        socket: OwnedFd,
        file: Option<SocketFile>,
        buffers: Buffers,
        is_adopted: bool,
    ) -> io::Result<Self> {
        let address = rustix::net::getsockname(&socket)?;
        let address = match address.address_family() {
            AddressFamily::UNIX => {
                let path = path_of(&address.try_into()?);
                ListenAddress::Unix { path, mode: None, group: None }
            }
            _ => ListenAddress::Inet(address.try_into()?),
        };
        set_options(&socket, matches!(address, ListenAddress::Inet(_)), buffers)?;
        let socket = Async::new(socket)?;
        Ok(Listener {
            _file: file,
            socket,
            address,
            buffers,
            is_adopted,
            protocol: ListenerProtocol::Chat,
        })
    }

    /// Returns the protocol that its clients speak.
    pub fn protocol(&self) -> ListenerProtocol {
        self.protocol
    }

    /// Returns the address with the real port.
    pub fn address(&self) -> &ListenAddress {
        &self.address
    }

    /// Returns whether it accepts IPv4 and IPv6 clients on all addresses of the machine.
    pub fn is_dual_stack(&self) -> bool {
        let ListenAddress::Inet(address) = &self.address else { return false };
        address.ip() == Ipv6Addr::UNSPECIFIED && sockopt::ipv6_v6only(&self.socket) == Ok(false)
    }

    /// Returns the socket, to wait for clients.
    pub(crate) fn socket(&self) -> &Async<OwnedFd> {
        &self.socket
    }

    /// Accepts the next client without blocking.
    ///
    /// # Errors
    ///
    /// Returns `WouldBlock` if no client waits, or the error of the system.
    pub(crate) fn accept(&self) -> io::Result<(OwnedFd, Peer)> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let (socket, peer) = acceptfrom_with(&self.socket, flags)?;
        let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok());
        // A TCP socket inherits the options of its listener, unless the client connected before the
        // listener was adopted.
        if peer.is_none() || self.is_adopted {
            // Ignored: a broken socket fails on its first read.
            let _ = set_options(&socket, peer.is_some(), self.buffers);
        }
        let peer = peer.map_or_else(|| Peer::Unix(Some(user_of(&socket))), Peer::from);
        Ok((socket, peer))
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

/// Binds a socket to a port of all addresses, IPv4 alone if the system has no IPv6.
fn bind_port(port: u16, is_ipv6_only: bool) -> rustix::io::Result<OwnedFd> {
    match bind_tcp((Ipv6Addr::UNSPECIFIED, port).into(), is_ipv6_only) {
        Err(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL) => {
            bind_tcp((Ipv4Addr::UNSPECIFIED, port).into(), false)
        }
        bound => bound,
    }
}

fn bind_tcp(address: SocketAddr, is_ipv6_only: bool) -> rustix::io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = match address {
        SocketAddr::V4(_) => socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?,
        SocketAddr::V6(_) => {
            let socket = socket_with(AddressFamily::INET6, SocketType::STREAM, flags, None)?;
            // Also if it is false: the default is a setting of the system.
            sockopt::set_ipv6_v6only(&socket, is_ipv6_only)?;
            socket
        }
    };
    // A port can be used again while connections of an ended server are in TIME_WAIT.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    rustix::net::bind(&socket, &address)?;
    Ok(socket)
}

/// Sets the options of a listener or of one of its connections.
fn set_options(socket: &OwnedFd, is_tcp: bool, buffers: Buffers) -> rustix::io::Result<()> {
    sockopt::set_socket_send_buffer_size(socket, buffers.send)?;
    sockopt::set_socket_recv_buffer_size(socket, buffers.receive)?;
    if is_tcp {
        sockopt::set_tcp_nodelay(socket, true)?;
        sockopt::set_socket_keepalive(socket, true)?;
        sockopt::set_tcp_keepidle(socket, KEEPALIVE_IDLE)?;
        sockopt::set_tcp_keepintvl(socket, KEEPALIVE_INTERVAL)?;
        sockopt::set_tcp_keepcnt(socket, KEEPALIVE_COUNT)?;
        sockopt::set_tcp_user_timeout(socket, USER_TIMEOUT)?;
    }
    Ok(())
}

/// Returns the user of the process that is connected to a unix socket. All processes whose user is
/// not known count as one.
fn user_of(socket: &OwnedFd) -> u32 {
    sockopt::socket_peercred(socket).map_or(u32::MAX, |peer| peer.uid.as_raw())
}

/// Returns the path of a unix socket, or a description of a socket without a path.
fn path_of(address: &SocketAddrUnix) -> PathBuf {
    match (address.path(), address.abstract_name()) {
        (Some(path), _) => OsStr::from_bytes(path.to_bytes()).into(),
        (None, Some(name)) => OsStr::from_bytes(&[b"@", name].concat()).into(),
        (None, None) => "?".into(),
    }
}
