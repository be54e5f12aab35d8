//! The address of a server.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// The port of an address without a port.
const DEFAULT_PORT: u16 = 8080;
/// The host of an address without a host, such as `:9000`.
const DEFAULT_HOST: &str = "localhost";

/// The address of a server: `HOST`, `HOST:PORT`, `:PORT`, `[IPV6]:PORT`, each of them after `tls:`,
/// or `unix:PATH`. For a room on several servers, several of the first four, separated by commas;
/// all of them are encrypted, or none is.
///
/// With `tls:`, the connection is encrypted or fails; this needs the feature `tls`. The default port
/// is 8080, the default host is this machine. [`FromStr`] rejects a text that cannot be an address.
/// The conversion from `&str` accepts every text; then the error is that of
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
    /// A host and a port, as `HOST:PORT`, for an encrypted connection.
    Tls(String),
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
        write!(f, "{}, expected HOST, HOST:PORT, [IPV6]:PORT, tls:HOST or unix:PATH", self.0)
    }
}

impl std::error::Error for InvalidAddress {}

impl From<&str> for ServerAddress {
    fn from(text: &str) -> Self {
        text.parse().unwrap_or_else(|_| match strip_tls(text) {
            // Never without encryption.
            Some(rest) => ServerAddress::Tls(rest.into()),
            None => ServerAddress::Inet(text.into()),
        })
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
        match (text.strip_prefix("unix:"), strip_tls(text)) {
            (Some(""), _) => Err(InvalidAddress("unix: has no path".into())),
            (Some(path), _) => Ok(ServerAddress::Unix(path.into())),
            _ if text.contains(',') => parse_list(text),
            (None, None) => add_default_port(text).map(ServerAddress::Inet),
            (None, Some(_)) if cfg!(not(feature = "tls")) => {
                Err(InvalidAddress(format!("this build has no TLS, which {text:?} needs")))
            }
            (None, Some("")) => Err(InvalidAddress("tls: has no host".into())),
            (None, Some(rest)) => add_default_port(rest).map(ServerAddress::Tls),
        }
    }
}

/// Parses addresses that are separated by commas. A list in which only some are encrypted is an
/// error: the loss of a server must not be the end of the encryption.
fn parse_list(text: &str) -> Result<ServerAddress, InvalidAddress> {
    let addresses = text.split(',').map(|address| match address.starts_with("unix:") {
        true => Err(InvalidAddress(format!("{address} is in a list of addresses"))),
        false => address.parse(),
    });
    let addresses = addresses.collect::<Result<Vec<ServerAddress>, _>>()?;
    let count = addresses.iter().filter(|address| address.is_encrypted()).count();
    match count == 0 || count == addresses.len() {
        true => Ok(ServerAddress::Several(addresses)),
        false => Err(InvalidAddress(format!("only some addresses of {text:?} have tls:"))),
    }
}

/// Returns the text after `tls:`, in any case.
fn strip_tls(text: &str) -> Option<&str> {
    let (scheme, rest) = text.split_once(':')?;
    (scheme.eq_ignore_ascii_case("tls") && !rest.starts_with("//")).then_some(rest)
}

fn add_default_port(text: &str) -> Result<String, InvalidAddress> {
    let (host, port) = split_host_and_port(text)?;
    let host = if host.contains(':') { format!("[{host}]") } else { host.into() };
    Ok(format!("{host}:{port}"))
}

impl ServerAddress {
    /// Returns whether connections to the address are encrypted.
    pub(crate) fn is_encrypted(&self) -> bool {
        match self {
            ServerAddress::Tls(_) => true,
            ServerAddress::Inet(_) | ServerAddress::Unix(_) => false,
            ServerAddress::Several(addresses) => addresses.iter().all(ServerAddress::is_encrypted),
        }
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServerAddress::Inet(address) => f.write_str(address),
            ServerAddress::Tls(address) => write!(f, "tls:{address}"),
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
    #[cfg(feature = "tls")]
    fn address_with_tls_stays_encrypted() {
        for (text, address) in [
            ("tls:router", "router:8080"),
            ("TLS:router:9", "router:9"),
            ("tls::9", "localhost:9"),
            ("tls:8080", "8080:8080"),
            ("tls:[::1]:9", "[::1]:9"),
            ("tls:::1", "[::1]:8080"),
        ] {
            let address = ServerAddress::Tls(address.into());
            assert_eq!(text.parse(), Ok(address.clone()), "{text}");
            assert_eq!(address.to_string().parse(), Ok(address));
        }
        let list: ServerAddress = "tls:router,TLS:nas:9".parse().unwrap();
        assert!(list.is_encrypted());
        assert_eq!(list.to_string(), "tls:router:8080,tls:nas:9");
        for text in ["tls:", "tls:router:0", "tls:a b", "tls:unix:/run/chat", "tls:tls:router"] {
            assert!(text.parse::<ServerAddress>().is_err(), "{text}");
        }
    }

    #[test]
    #[cfg(not(feature = "tls"))]
    fn address_with_tls_is_refused_in_a_build_without() {
        for text in ["tls:router", "TLS:8080", "tls:"] {
            let error = text.parse::<ServerAddress>().unwrap_err().to_string();
            assert!(error.starts_with("this build has no TLS"), "{error}");
        }
    }

    #[test]
    fn invalid_text_with_tls_is_not_plain() {
        for text in ["tls:router:x", "tls:8080", "Tls:a b"] {
            assert!(matches!(ServerAddress::from(text), ServerAddress::Tls(_)), "{text}");
        }
        assert!("tls:router,nas".parse::<ServerAddress>().is_err());
        assert!("router,tls:nas".parse::<ServerAddress>().is_err());
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
            assert!(error.ends_with("[IPV6]:PORT, tls:HOST or unix:PATH"), "{text}: {error}");
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
