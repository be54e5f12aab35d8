//! The address of a server, and the attempt to connect to it.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use futures_lite::FutureExt;
use rustix::net::sockopt;
use smol::{Async, Timer};

/// The port of an address without a port.
const DEFAULT_PORT: &str = "8080";
/// Time limit for the name lookup, and for each address that is tried.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Milliseconds after which the kernel closes a connection whose sent data is not acknowledged.
const USER_TIMEOUT: u32 = 25_000;

/// The address of a server: `HOST`, `HOST:PORT`, `[IPV6]:PORT` or `unix:PATH`.
///
/// The default port is 8080. Every text is accepted: a host that does not exist is an error of
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
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerAddress {
    /// A host and a port, as `HOST:PORT`.
    Inet(String),
    /// The path of a unix socket.
    Unix(PathBuf),
}

impl From<&str> for ServerAddress {
    fn from(text: &str) -> Self {
        let has_port = text.rsplit_once(':').is_some_and(|(host, port)| {
            port.parse::<u16>().is_ok() && (!host.contains(':') || host.ends_with(']'))
        });
        match text.strip_prefix("unix:") {
            Some(path) => ServerAddress::Unix(path.into()),
            None if has_port => ServerAddress::Inet(text.into()),
            None if text.contains(':') && !text.starts_with('[') => {
                ServerAddress::Inet(format!("[{text}]:{DEFAULT_PORT}"))
            }
            None => ServerAddress::Inet(format!("{text}:{DEFAULT_PORT}")),
        }
    }
}

impl From<String> for ServerAddress {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

impl FromStr for ServerAddress {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(text.into())
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServerAddress::Inet(address) => f.write_str(address),
            ServerAddress::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl ServerAddress {
    /// Connects to the first address of the host that accepts a connection.
    ///
    /// # Errors
    ///
    /// Returns the error of the name lookup, or of the last address that was tried.
    pub(super) async fn connect(self) -> io::Result<OwnedFd> {
        let host = match self {
            ServerAddress::Inet(host) => host,
            ServerAddress::Unix(path) => {
                return Ok(Async::<UnixStream>::connect(path).await?.into_inner()?.into());
            }
        };
        let mut last_error = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
        for address in with_timeout(smol::net::resolve(host)).await? {
            match with_timeout(connect_inet(address)).await {
                Ok(socket) => return Ok(socket),
                Err(error) => last_error = error,
            }
        }
        Err(last_error)
    }
}

async fn connect_inet(address: SocketAddr) -> io::Result<OwnedFd> {
    let stream = Async::<TcpStream>::connect(address).await?;
    stream.get_ref().set_nodelay(true)?;
    sockopt::set_tcp_user_timeout(&stream, USER_TIMEOUT)?;
    Ok(stream.into_inner()?.into())
}

async fn with_timeout<T>(step: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let timeout = async {
        Timer::after(CONNECT_TIMEOUT).await;
        Err(io::ErrorKind::TimedOut.into())
    };
    step.or(timeout).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_without_port_gets_default_port() {
        for (text, address) in [
            ("router", "router:8080"),
            ("router:9", "router:9"),
            ("127.0.0.1", "127.0.0.1:8080"),
            ("[::1]:9", "[::1]:9"),
            ("[::1]", "[::1]:8080"),
            ("fe80::1", "[fe80::1]:8080"),
        ] {
            assert_eq!(ServerAddress::from(text), ServerAddress::Inet(address.into()));
        }
    }

    #[test]
    fn address_with_unix_prefix_is_path() {
        assert_eq!("unix:/run/chat".parse(), Ok(ServerAddress::Unix("/run/chat".into())));
    }
}
