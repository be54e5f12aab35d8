//! A listener: the address on which clients connect, and its socket.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use rustix::net::sockopt;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, acceptfrom_with};
use smol::Async;

use crate::room::Peer;

/// Connections that may wait to be accepted. The kernel reduces it to its own limit
/// (`net.core.somaxconn`).
const BACKLOG: i32 = 4096;
/// A client that has vanished is noticed after a minute of silence and a minute of probes.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
const KEEPALIVE_COUNT: u32 = 4;
/// The same for a client with unacknowledged data, in milliseconds.
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

/// An address to listen on: `IP:PORT`, `[IPV6]:PORT`, `localhost:PORT` or `unix:PATH`.
///
/// There are no other host names, so that the server starts without a resolver and always on the
/// same address.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListenAddress {
    /// An IP address and a port. Port 0 is any free port.
    Inet(SocketAddr),
    /// The path of a unix socket.
    Unix(PathBuf),
}

impl FromStr for ListenAddress {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let address = match (text.strip_prefix("unix:"), text.strip_prefix("localhost:")) {
            (Some(""), _) => return Err("expected a path after unix:"),
            (Some(path), _) => return Ok(ListenAddress::Unix(path.into())),
            (None, Some(port)) => format!("{}:{port}", Ipv4Addr::LOCALHOST).parse(),
            (None, None) => text.parse(),
        };
        let expected = "expected IP:PORT, [IPV6]:PORT, localhost:PORT or unix:PATH";
        address.map(ListenAddress::Inet).map_err(|_| expected)
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListenAddress::Inet(address) => address.fmt(f),
            ListenAddress::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A socket on which clients connect.
///
/// Its `Display` is the address with the real port. Dropping it removes the file of a unix socket,
/// except of a socket that was [adopted](Self::adopt).
#[derive(Debug)]
pub struct Listener {
    socket: Async<OwnedFd>,
    address: ListenAddress,
    /// The buffers of its connections.
    buffers: Buffers,
    /// The socket belongs to a service manager.
    is_adopted: bool,
}

impl Listener {
    /// Listens on an address. The file of a unix socket that an ended server left is replaced.
    ///
    /// # Errors
    ///
    /// Returns the error of the system if the address is in use (for a unix socket: by a running
    /// server, or by a file that is not a socket), belongs to another machine, or is not permitted.
    pub fn bind(address: &ListenAddress, buffers: Buffers) -> io::Result<Self> {
        let socket: OwnedFd = match address {
            ListenAddress::Inet(address) => TcpListener::bind(address)?.into(),
            ListenAddress::Unix(path) => bind_unix(path)?.into(),
        };
        // A second listen(2) changes the backlog, which the standard library does not offer.
        rustix::net::listen(&socket, BACKLOG)?;
        Self::new(socket, buffers, false)
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
        Self::new(socket, buffers, true)
    }

    fn new(socket: OwnedFd, buffers: Buffers, is_adopted: bool) -> io::Result<Self> {
        let address = rustix::net::getsockname(&socket)?;
        let address = match address.address_family() {
            AddressFamily::UNIX => ListenAddress::Unix(path_of(&address.try_into()?)),
            _ => ListenAddress::Inet(address.try_into()?),
        };
        set_options(&socket, matches!(address, ListenAddress::Inet(_)), buffers)?;
        Ok(Listener { socket: Async::new(socket)?, address, buffers, is_adopted })
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
        Ok((socket, peer.map_or(Peer::Unix, Peer::from)))
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let ListenAddress::Unix(path) = &self.address
            && !self.is_adopted
        {
            // Ignored: the file may be removed already.
            let _ = std::fs::remove_file(path);
        }
    }
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

/// Returns the path of a unix socket, or a description of a socket without a path.
fn path_of(address: &SocketAddrUnix) -> PathBuf {
    match (address.path(), address.abstract_name()) {
        (Some(path), _) => OsStr::from_bytes(path.to_bytes()).into(),
        (None, Some(name)) => OsStr::from_bytes(&[b"@", name].concat()).into(),
        (None, None) => "?".into(),
    }
}

fn bind_unix(path: &PathBuf) -> io::Result<UnixListener> {
    match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            let is_socket = std::fs::symlink_metadata(path)?.file_type().is_socket();
            if !is_socket || UnixStream::connect(path).is_ok() {
                return Err(error);
            }
            std::fs::remove_file(path)?;
            UnixListener::bind(path)
        }
        bound => bound,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_round_trips_or_is_rejected() {
        for text in ["127.0.0.1:8080", "0.0.0.0:1", "[::1]:8080", "[::]:0"] {
            let address: ListenAddress = text.parse().unwrap();
            assert_eq!(address.to_string(), text);
        }
        assert_eq!("localhost:7".parse(), "127.0.0.1:7".parse::<ListenAddress>());
        assert_eq!("unix:/run/chat".parse(), Ok(ListenAddress::Unix("/run/chat".into())));
        for text in [
            "",
            "8080",
            "localhost",
            "a.host:80",
            "0.0.0.0:99999",
            "localhost:",
            "::1:80",
            ":80",
            "unix:",
        ] {
            assert!(text.parse::<ListenAddress>().is_err(), "{text}");
        }
    }
}
