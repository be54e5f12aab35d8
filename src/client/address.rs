//! The address of a server.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// The port of an address without a port.
const DEFAULT_PORT: u16 = 8080;
/// The host of an address without a host, such as `:9000`.
const DEFAULT_HOST: &str = "localhost";

/// The address of a server: `HOST`, `HOST:PORT`, `:PORT`, `[IPV6]:PORT` or `unix:PATH`. For a room on
/// several servers, several of the first four, separated by commas.
///
/// The default port is 8080, the default host is this machine. [`FromStr`] rejects a text that
/// cannot be an address. The conversion from `&str` accepts every text; then the error is that of
/// [`Session::connect`](super::Session::connect).
///
/// # Examples
///
/// ```
/// use smolchat::client::ServerAddress;
///
/// assert_eq!(ServerAddress::from("router").to_string(), "router:8080");
/// assert_eq!(ServerAddress::from("::1").to_string(), "[::1]:8080");
/// assert_eq!(ServerAddress::from("unix:/run/chat"), ServerAddress::Unix("/run/chat".into()));
/// assert!("http://router".parse::<ServerAddress>().is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerAddress {
    /// A host and a port, as `HOST:PORT`.
    Inet(String),
    /// The path of a unix socket.
    Unix(PathBuf),
    /// Servers with the same room: when one is lost, the next is tried.
    Several(Vec<ServerAddress>),
}

/// The reason why a text is not the address of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidAddress(String);

impl fmt::Display for InvalidAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, expected HOST, HOST:PORT, [IPV6]:PORT or unix:PATH", self.0)
    }
}

impl std::error::Error for InvalidAddress {}

impl From<&str> for ServerAddress {
    fn from(text: &str) -> Self {
        text.parse().unwrap_or_else(|_| ServerAddress::Inet(text.into()))
    }
}

impl From<String> for ServerAddress {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

impl FromStr for ServerAddress {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        match text.strip_prefix("unix:") {
            Some("") => Err(InvalidAddress("unix: has no path".into())),
            Some(path) => Ok(ServerAddress::Unix(path.into())),
            None if text.contains(',') => {
                let addresses = text.split(',').map(|address| match address.starts_with("unix:") {
                    true => Err(InvalidAddress(format!("{address} is in a list of addresses"))),
                    false => address.parse(),
                });
                Ok(ServerAddress::Several(addresses.collect::<Result<_, _>>()?))
            }
            None => {
                let (host, port) = split_host_and_port(text)?;
                let is_ipv6 = host.contains(':');
                let host = if is_ipv6 { format!("[{host}]") } else { host.into() };
                Ok(ServerAddress::Inet(format!("{host}:{port}")))
            }
        }
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServerAddress::Inet(address) => f.write_str(address),
            ServerAddress::Unix(path) => write!(f, "unix:{}", path.display()),
            ServerAddress::Several(addresses) => {
                for (index, address) in addresses.iter().enumerate() {
                    write!(f, "{}{address}", if index > 0 { "," } else { "" })?;
                }
                Ok(())
            }
        }
    }
}

/// Splits an address into its host, an IPv6 address without brackets, and its port.
pub(super) fn split_host_and_port(text: &str) -> Result<(&str, u16), InvalidAddress> {
    let invalid = |text: String| Err(InvalidAddress(text));
    if let Some((scheme, _)) = text.split_once("://") {
        return invalid(format!("{scheme}:// is not supported"));
    }
    let is_space = |c: char| c.is_whitespace() || c.is_control();
    if text.is_empty() || text.contains(is_space) || text.contains('/') {
        return invalid(format!("{text:?} is not an address"));
    }
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((host, "")) => (host, None),
            Some((host, port)) if port.starts_with(':') => (host, port.strip_prefix(':')),
            _ => return invalid(format!("{text:?} has no address in brackets")),
        },
        None => match text.split_once(':') {
            // More than one colon: an IPv6 address without brackets, which has no port.
            Some((_, rest)) if rest.contains(':') => (text, None),
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let port = match port {
        None => DEFAULT_PORT,
        Some(port) => match port.parse() {
            Ok(port) if port > 0 => port,
            _ => return invalid(format!("port {port:?} is not a number from 1 to 65535")),
        },
    };
    Ok((if host.is_empty() { DEFAULT_HOST } else { host }, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_gets_default_host_and_port() {
        for (text, address) in [
            ("router", "router:8080"),
            ("router:9", "router:9"),
            (":9", "localhost:9"),
            ("127.0.0.1", "127.0.0.1:8080"),
            ("[::1]:9", "[::1]:9"),
            ("[::1]", "[::1]:8080"),
            ("fe80::1%eth0", "[fe80::1%eth0]:8080"),
        ] {
            assert_eq!(text.parse(), Ok(ServerAddress::Inet(address.into())), "{text}");
        }
        assert_eq!("unix:/run/chat".parse(), Ok(ServerAddress::Unix("/run/chat".into())));
    }

    #[test]
    fn invalid_address_is_rejected_with_the_reason() {
        for (text, reason) in [
            ("", "\"\" is not an address"),
            ("http://router:9", "http:// is not supported"),
            ("tls://router", "tls:// is not supported"),
            ("router:99999", "port \"99999\" is not a number from 1 to 65535"),
            ("router:0", "port \"0\" is not a number from 1 to 65535"),
            ("router:", "port \"\" is not a number from 1 to 65535"),
            ("router:irc", "port \"irc\" is not a number from 1 to 65535"),
            ("[::1", "\"[::1\" has no address in brackets"),
            ("[::1]9", "\"[::1]9\" has no address in brackets"),
            ("router/chat", "\"router/chat\" is not an address"),
            ("my router", "\"my router\" is not an address"),
            ("unix:", "unix: has no path"),
            ("router,", "\"\" is not an address"),
            ("router,unix:/a", "unix:/a is in a list of addresses"),
        ] {
            let error = text.parse::<ServerAddress>().unwrap_err().to_string();
            assert!(error.starts_with(reason), "{text}: {error}");
            assert!(error.ends_with("[IPV6]:PORT or unix:PATH"), "{text}: {error}");
        }
    }

    #[test]
    fn displayed_address_parses_to_itself() {
        for text in ["router", "router,[::1]:9", "[::1]:9", "::1", ":9", "unix:/run/chat"] {
            let address: ServerAddress = text.parse().unwrap();
            assert_eq!(address.to_string().parse(), Ok(address));
        }
    }
}
