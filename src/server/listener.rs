//! Where clients connect: an address as it is written, and the socket that listens there.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
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

/// Connections that may wait to be accepted, so that a crowd that comes at once is not turned
/// away. The kernel cuts it to its own limit.
const BACKLOG: i32 = 1024;
/// A peer that vanished is noticed after a minute of silence and a minute of questions.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
const KEEPALIVE_COUNT: u32 = 4;
/// The same for a peer that vanished while something was on its way to it, in milliseconds.
const USER_TIMEOUT: u32 = 120_000;

/// Bytes that the kernel may hold for one connection. It counts its own overhead, and doubles the
/// figures for that (socket(7)).
///
/// Left to itself it takes megabytes for each who does not read, which a small machine does not
/// have: a hundred of them then cost the others three times the CPU time, until they are found to
/// be slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffers {
    /// On the way to a client.
    pub send: usize,
    /// On the way from it.
    pub receive: usize,
}

impl Buffers {
    /// What they come to in the kernel.
    pub fn in_kernel(self) -> usize {
        self.send.saturating_add(self.receive).saturating_mul(2)
    }
}

impl Default for Buffers {
    fn default() -> Self {
        Buffers { send: 128 * 1024, receive: 64 * 1024 }
    }
}

/// An address to listen at: `IP:PORT`, `[V6]:PORT`, `localhost:PORT` or `unix:PATH`.
///
/// A host is a number, so that a server that is started before the network has names still comes
/// up, and always in the same place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// An address of this machine, or all of them, and a port; 0 is any free one.
    Inet(SocketAddr),
    /// The path of a unix socket.
    Unix(PathBuf),
}

impl FromStr for ListenAddress {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(path) = text.strip_prefix("unix:") {
            return match path {
                "" => Err("unix: wants a path behind it"),
                path => Ok(ListenAddress::Unix(path.into())),
            };
        }
        let (host, port) = text.rsplit_once(':').ok_or("an address is IP:PORT or unix:PATH")?;
        let port = port.parse().map_err(|_| "a port is a number up to 65535")?;
        let in_brackets = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let ip = match in_brackets {
            Some(ip) => ip.parse().ok().map(IpAddr::V6),
            None if host == "localhost" => Some(Ipv4Addr::LOCALHOST.into()),
            None => host.parse().ok().map(IpAddr::V4),
        };
        let ip = ip.ok_or("a host is a number, one of IPv6 in brackets, or localhost")?;
        Ok(ListenAddress::Inet(SocketAddr::new(ip, port)))
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

/// A socket that clients can connect to.
///
/// Its `Display` is the address with the real port. The file of a unix socket goes when this is
/// dropped, unless the socket is somebody else's.
#[derive(Debug)]
pub struct Listener {
    socket: Async<OwnedFd>,
    address: ListenAddress,
    /// What its connections are held to.
    buffers: Buffers,
    /// It listened before we had it, and does so after us.
    was_handed_over: bool,
}

impl Listener {
    /// Listens at `address`. The file that a dead server left in place of a unix socket is
    /// replaced.
    ///
    /// # Errors
    ///
    /// What the system says: the address is in use (for a unix socket: by a server that is
    /// alive, or by a file that is no socket), is not one of this machine, or may not be used.
    pub fn bind(address: &ListenAddress, buffers: Buffers) -> io::Result<Self> {
        let (socket, address) = match address {
            ListenAddress::Inet(address) => {
                let socket = TcpListener::bind(address)?;
                tune(&socket)?;
                let address = ListenAddress::Inet(socket.local_addr()?);
                (OwnedFd::from(socket), address)
            }
            ListenAddress::Unix(path) => (bind_unix(path)?.into(), address.clone()),
        };
        // A second call on the same socket changes its backlog; the standard library has no say.
        rustix::net::listen(&socket, BACKLOG)?;
        limit_buffers(&socket, buffers)?;
        Ok(Listener { socket: Async::new(socket)?, address, buffers, was_handed_over: false })
    }

    /// Takes a socket that listens already. Its backlog, and the file of a unix socket, are the
    /// affair of whoever made it.
    ///
    /// # Errors
    ///
    /// When it is not a stream socket, TCP or unix, that listens.
    pub fn adopt(socket: OwnedFd, buffers: Buffers) -> io::Result<Self> {
        if sockopt::socket_type(&socket)? != SocketType::STREAM
            || !sockopt::socket_acceptconn(&socket)?
        {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "it is not a stream socket that listens",
            ));
        }
        limit_buffers(&socket, buffers)?;
        let address = rustix::net::getsockname(&socket)?;
        let address = match sockopt::socket_domain(&socket)? {
            AddressFamily::UNIX => ListenAddress::Unix(path_of(&address.try_into()?)),
            _ => {
                tune(&socket)?;
                ListenAddress::Inet(address.try_into()?)
            }
        };
        Ok(Listener { socket: Async::new(socket)?, address, buffers, was_handed_over: true })
    }

    /// The socket, to wait for clients.
    pub fn socket(&self) -> &Async<OwnedFd> {
        &self.socket
    }

    /// Takes the next client that waits, without blocking.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when none waits; what the system says when it cannot be taken.
    pub fn accept(&self) -> io::Result<(OwnedFd, Peer)> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let (socket, peer) = acceptfrom_with(&self.socket, flags)?;
        let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok());
        // If one of these fails, its end is near.
        let _ = match peer {
            // A unix socket inherits nothing.
            None => limit_buffers(&socket, self.buffers),
            // It may have connected before we were there.
            Some(_) if self.was_handed_over => {
                limit_buffers(&socket, self.buffers).and_then(|()| tune(&socket))
            }
            Some(_) => Ok(()),
        };
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
            && !self.was_handed_over
        {
            // If it is gone already, so much the better.
            let _ = std::fs::remove_file(path);
        }
    }
}

// What these two set, each TCP connection inherits that is made from then on: no call for each.

fn limit_buffers(socket: impl AsFd, buffers: Buffers) -> rustix::io::Result<()> {
    let socket = socket.as_fd();
    sockopt::set_socket_send_buffer_size(socket, buffers.send)?;
    sockopt::set_socket_recv_buffer_size(socket, buffers.receive)
}

fn tune(socket: impl AsFd) -> rustix::io::Result<()> {
    let socket = socket.as_fd();
    sockopt::set_tcp_nodelay(socket, true)?;
    sockopt::set_socket_keepalive(socket, true)?;
    sockopt::set_tcp_keepidle(socket, KEEPALIVE_IDLE)?;
    sockopt::set_tcp_keepintvl(socket, KEEPALIVE_INTERVAL)?;
    sockopt::set_tcp_keepcnt(socket, KEEPALIVE_COUNT)?;
    sockopt::set_tcp_user_timeout(socket, USER_TIMEOUT)
}

/// The path of a unix socket; of one without, what the system shows for it.
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
    fn addresses_are_read_as_people_write_them() {
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
