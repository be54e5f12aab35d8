//! An address to listen on.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

/// An address to listen on: `PORT`, `:PORT`, `IP:PORT`, `[IPV6]:PORT`, `localhost:PORT` or
/// `unix:PATH[,mode=MODE][,group=GROUP]`.
///
/// There are no other host names, so that the server starts without a resolver and always on the
/// same address.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListenAddress {
    /// A port on all addresses of the machine, IPv6 and IPv4. Without IPv6 it is IPv4 alone. Port 0
    /// is any free port.
    Port(u16),
    /// An IP address and a port. `[::]` accepts IPv4 clients, too, unless
    /// [`Listener::bind_all`](super::Listener::bind_all) also gets an IPv4 address with that port.
    Inet(SocketAddr),
    /// A unix socket.
    #[non_exhaustive]
    Unix {
        /// The path of its file. As text, it contains no comma.
        path: PathBuf,
        /// The permissions of the file, at most `0o777`. By default the umask determines them.
        mode: Option<u32>,
        /// The name or the number of the group of the file.
        group: Option<Box<str>>,
    },
}

impl ListenAddress {
    /// Returns the port, except for a unix socket.
    pub(super) fn port(&self) -> Option<u16> {
        match self {
            ListenAddress::Port(port) => Some(*port),
            ListenAddress::Inet(address) => Some(address.port()),
            ListenAddress::Unix { .. } => None,
        }
    }

    /// Returns whether this address leaves its IPv4 clients to `other`: it is for both families,
    /// and `other` for IPv4 with the same port.
    pub(super) fn leaves_ipv4_to(&self, other: &ListenAddress) -> bool {
        let ListenAddress::Inet(other) = other else { return false };
        let other_ip = other.ip().to_canonical();
        // Two addresses with port 0 get different ports.
        self.port() == Some(other.port())
            && other.port() != 0
            && match self {
                // A port is for all addresses.
                ListenAddress::Port(_) => other_ip == Ipv4Addr::UNSPECIFIED,
                ListenAddress::Inet(this) => {
                    this.ip() == Ipv6Addr::UNSPECIFIED && other_ip.is_ipv4()
                }
                ListenAddress::Unix { .. } => false,
            }
    }
}

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(unix) = text.strip_prefix("unix:") {
            return parse_unix(unix);
        }
        if let Ok(port) = text.strip_prefix(':').unwrap_or(text).parse() {
            return Ok(ListenAddress::Port(port));
        }
        let address = match text.strip_prefix("localhost:") {
            Some(port) => format!("{}:{port}", Ipv4Addr::LOCALHOST).parse(),
            None => text.parse(),
        };
        let expected = "expected PORT, IP:PORT, [IPV6]:PORT, localhost:PORT or unix:PATH";
        address.map(ListenAddress::Inet).map_err(|_| expected.into())
    }
}

/// Parses `PATH[,mode=MODE][,group=GROUP]`.
fn parse_unix(text: &str) -> Result<ListenAddress, String> {
    let mut parts = text.split(',');
    let path = parts.next().unwrap_or_default();
    if path.is_empty() {
        return Err("expected a path after unix:".into());
    }
    let (mut mode, mut group) = (None, None);
    for part in parts {
        match part.split_once('=') {
            Some(("mode", digits)) => mode = Some(parse_mode(digits)?),
            Some(("group", name)) if !name.is_empty() => group = Some(name.into()),
            _ => {
                return Err(format!(
                    "{part:?} after the path: expected mode=MODE or group=GROUP; the path itself \
                     cannot contain a comma"
                ));
            }
        }
    }
    Ok(ListenAddress::Unix { path: path.into(), mode, group })
}

fn parse_mode(digits: &str) -> Result<u32, String> {
    let mode = u32::from_str_radix(digits, 8).ok().filter(|mode| *mode <= 0o777);
    mode.ok_or_else(|| {
        format!("mode {digits:?}: expected an octal number such as 0660, at most 0777")
    })
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListenAddress::Port(port) => write!(f, ":{port}"),
            ListenAddress::Inet(address) => address.fmt(f),
            ListenAddress::Unix { path, mode, group } => {
                write!(f, "unix:{}", path.display())?;
                if let Some(mode) = mode {
                    write!(f, ",mode={mode:04o}")?;
                }
                group.as_ref().map_or(Ok(()), |group| write!(f, ",group={group}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_round_trips() {
        for text in [
            ":0",
            ":9000",
            "127.0.0.1:8080",
            "0.0.0.0:1",
            "[::1]:8080",
            "[::]:0",
            "unix:/run/chat",
            "unix:chat.sock,mode=0660",
            "unix:/run/chat,group=27",
            "unix:/run/chat,mode=0600,group=chat",
        ] {
            let address: ListenAddress = text.parse().unwrap();
            assert_eq!(address.to_string(), text);
        }
        for (text, same) in [
            ("9000", ":9000"),
            ("localhost:7", "127.0.0.1:7"),
            ("unix:/run/chat,group=chat,mode=660", "unix:/run/chat,mode=0660,group=chat"),
            ("unix:/run/chat,mode=000660", "unix:/run/chat,mode=0660"),
        ] {
            assert_eq!(text.parse::<ListenAddress>(), same.parse(), "{text}");
        }
    }

    #[test]
    fn invalid_address_is_rejected() {
        for text in [
            "",
            ":",
            "::80",
            "65536",
            "-1",
            "80:",
            "localhost",
            "a.host:80",
            "0.0.0.0:99999",
            "localhost:",
            "::1:80",
            "unix:",
            "unix:,mode=0660",
            "unix:/run/a,b",
            "unix:/run/chat,",
            "unix:/run/chat,mode",
            "unix:/run/chat,mode=",
            "unix:/run/chat,mode=rw",
            "unix:/run/chat,mode=0680",
            "unix:/run/chat,mode=1777",
            "unix:/run/chat,mode=-1",
            "unix:/run/chat,group=",
            "unix:/run/chat,user=alice",
            "unix:/run/chat mode=0660,mode",
        ] {
            assert!(text.parse::<ListenAddress>().is_err(), "{text}");
        }
    }
    #[test]
    fn ipv4_clients_are_left_to_an_ipv4_address() {
        let leaves = |address: &str, other: &str| {
            let address: ListenAddress = address.parse().unwrap();
            address.leaves_ipv4_to(&other.parse().unwrap())
        };
        for other in ["0.0.0.0:80", "127.0.0.1:80", "[::ffff:127.0.0.1]:80"] {
            assert!(leaves("[::]:80", other), "{other}");
        }
        assert!(leaves("80", "0.0.0.0:80"));
        for (address, other) in [
            ("80", "127.0.0.1:80"),
            ("80", "[::]:80"),
            ("[::]:80", "80"),
            ("[::]:80", "0.0.0.0:81"),
            ("[::]:0", "0.0.0.0:0"),
            ("[::]:80", "[::1]:80"),
            ("[::1]:80", "0.0.0.0:80"),
            ("0.0.0.0:80", "0.0.0.0:80"),
            ("[::]:80", "unix:80"),
            ("unix:80", "0.0.0.0:80"),
        ] {
            assert!(!leaves(address, other), "{address} {other}");
        }
    }
}
