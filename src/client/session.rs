//! A client's place in a room: connect, say hello, send, receive.

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::str::FromStr;

use serde_json::json;
use smol::Async;

use super::link::Link;
use crate::protocol::Frame;

/// The port of a server that is named without one.
const PORT: &str = "8080";

/// Where a server is: `HOST`, `HOST:PORT`, `[V6]:PORT` or `unix:PATH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A host and a port.
    Inet(String),
    /// The path of a unix socket.
    Unix(PathBuf),
}

impl FromStr for Address {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let has_port = text.rsplit_once(':').is_some_and(|(host, port)| {
            port.parse::<u16>().is_ok() && (!host.contains(':') || host.ends_with(']'))
        });
        Ok(match text.strip_prefix("unix:") {
            Some(path) => Address::Unix(path.into()),
            None if has_port => Address::Inet(text.into()),
            None if text.contains(':') && !text.starts_with('[') => {
                Address::Inet(format!("[{text}]:{PORT}"))
            }
            None => Address::Inet(format!("{text}:{PORT}")),
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Inet(address) => f.write_str(address),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Who to be, and what to be shown on arrival.
#[derive(Clone, Debug, Default)]
pub struct Greeting {
    /// The name to ask for; the server gives one otherwise.
    pub name: Option<String>,
    /// How many past frames to be shown.
    pub history: usize,
}

/// A conversation could not begin, or go on.
#[derive(Debug)]
pub enum Error {
    /// The server could not be reached.
    Connect(Address, io::Error),
    /// The connection broke.
    Lost(io::Error),
    /// The server closed the connection, and said why, if it did.
    Closed(Option<String>),
    /// The server sent something that is not of the protocol.
    Garbled(serde_json::Error),
    /// So many lines were answered with an error.
    Refused(usize),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Connect(address, _) => write!(f, "cannot connect to {address}"),
            Error::Lost(_) => f.write_str("lost the connection to the server"),
            Error::Closed(Some(why)) => write!(f, "the server closed the connection: {why}"),
            Error::Closed(None) => f.write_str("the server went away"),
            Error::Garbled(_) => f.write_str("what answers there is no smolchat server"),
            Error::Refused(1) => f.write_str("one line was not accepted"),
            Error::Refused(count) => write!(f, "{count} lines were not accepted"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Connect(_, error) | Error::Lost(error) => Some(error),
            Error::Garbled(error) => Some(error),
            Error::Closed(_) | Error::Refused(_) => None,
        }
    }
}

/// A frame, and the line that it came as.
#[derive(Clone, Debug)]
pub struct Received {
    /// What the server said.
    pub frame: Frame<'static>,
    /// The same, byte for byte, without its newline.
    pub line: Vec<u8>,
}

/// A place in a room.
#[derive(Debug)]
pub struct Session {
    link: Link,
    /// Tells our ids from those of other sessions, whose frames carry theirs.
    prefix: String,
    said: u64,
}

impl Session {
    /// Connects and says hello.
    ///
    /// # Errors
    ///
    /// [`Error::Connect`] when the server cannot be reached.
    pub async fn connect(address: &Address, greeting: &Greeting) -> Result<Self, Error> {
        let unreachable = |error| Error::Connect(address.clone(), error);
        let socket = connect(address).await.map_err(unreachable)?;
        let mut link = Link::new(socket).map_err(unreachable)?;
        let hello = json!({ "hello": { "name": greeting.name, "history": greeting.history } });
        link.send(format!("{hello}\n").as_bytes());
        let mut random = [0; 4];
        rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())
            .map_err(|error| unreachable(error.into()))?;
        Ok(Session { link, prefix: format!("{:08x}", u32::from_ne_bytes(random)), said: 0 })
    }

    /// Says `text`, commands included, and returns the id that comes back with the answer. It
    /// goes out while something is received.
    pub fn say(&mut self, text: &str) -> String {
        self.said += 1;
        let id = format!("{}-{}", self.prefix, self.said);
        self.link.send(format!("{}\n", json!({ "data": text, "id": id })).as_bytes());
        id
    }

    /// Tells the server that nothing more will be said. It answers everything, says bye and
    /// closes.
    pub fn finish(&mut self) {
        self.link.finish();
    }

    /// The next frame. Dropping the future that waits for it loses nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Lost`] or [`Error::Closed`] when no more will come, [`Error::Garbled`] when
    /// what came is no frame.
    pub async fn receive(&mut self) -> Result<Received, Error> {
        let line = self.link.receive().await.map_err(Error::Lost)?.ok_or(Error::Closed(None))?;
        let frame = Frame::decode(&line).map_err(Error::Garbled)?;
        Ok(Received { frame, line })
    }
}

async fn connect(address: &Address) -> io::Result<OwnedFd> {
    let host = match address {
        Address::Inet(host) => host,
        Address::Unix(path) => {
            return Ok(Async::<UnixStream>::connect(path).await?.into_inner()?.into());
        }
    };
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in smol::net::resolve(host).await? {
        match Async::<TcpStream>::connect(address).await {
            Ok(stream) => {
                stream.get_ref().set_nodelay(true)?;
                return Ok(stream.into_inner()?.into());
            }
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_lack_its_port() {
        for (text, address) in [
            ("router", "router:8080"),
            ("router:9", "router:9"),
            ("127.0.0.1", "127.0.0.1:8080"),
            ("[::1]:9", "[::1]:9"),
            ("[::1]", "[::1]:8080"),
            ("fe80::1", "[fe80::1]:8080"),
        ] {
            assert_eq!(text.parse(), Ok(Address::Inet(address.into())));
        }
        assert_eq!("unix:/run/chat".parse(), Ok(Address::Unix("/run/chat".into())));
    }
}
