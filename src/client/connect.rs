//! The attempt to connect to a server.
//!
//! A host may have several addresses, of which some do not answer. They are tried in turn, each
//! [`ATTEMPT_DELAY`] after the one before, and the first connection is used (RFC 8305).

use std::future::{Future, poll_fn};
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use futures_lite::FutureExt;
use rustix::net::sockopt;
use smol::{Async, Timer};

use super::address::split_host_and_port;
use super::link::Link;
use super::tls::{Settings, TlsStream};
use super::{Error, ServerAddress};

/// Time limit for the name lookup, for each address that is tried, and for the handshake of TLS.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The time after which the next address is tried (RFC 8305, section 5).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);
/// Milliseconds after which the kernel closes a connection whose sent data is not acknowledged.
const USER_TIMEOUT: u32 = 25_000;

/// The attempt to connect to one address.
type Attempt = Pin<Box<dyn Future<Output = io::Result<OwnedFd>> + Send>>;

/// Connects to the address of the host that accepts a connection first, and encrypts the connection
/// if the address says so.
///
/// # Errors
///
/// Returns the error of the name lookup, of the last address that failed, or of the handshake.
pub async fn connect(address: ServerAddress, settings: Settings) -> Result<Link, Error> {
    let failed = |error| Error::Connect(address.clone(), error);
    let (text, is_encrypted) = match &address {
        ServerAddress::Inet(text) => (text, false),
        ServerAddress::Tls(text) => (text, true),
        ServerAddress::Unix(path) => {
            let stream = Async::<UnixStream>::connect(path).await.map_err(failed)?;
            return stream.into_inner().and_then(|stream| Link::new(stream.into())).map_err(failed);
        }
        // A session tries one address at a time.
        ServerAddress::Several(_) => return Err(failed(io::ErrorKind::InvalidInput.into())),
    };
    let (host, port) = split_host_and_port(text)
        .map_err(|error| failed(io::Error::new(io::ErrorKind::InvalidInput, error)))?;
    // Before the connection, so that a build without TLS makes none.
    let tls = is_encrypted.then(|| TlsStream::new(host, &settings)).transpose().map_err(failed)?;
    let lookup = smol::net::resolve((host.to_owned(), port));
    let addresses = with_timeout(lookup).await.map_err(failed)?;
    let socket = connect_to_any(addresses).await.map_err(failed)?;
    let mut link = Link::new(socket).map_err(failed)?;
    if let Some(tls) = tls {
        link.start_tls(tls, &address).await?;
    }
    Ok(link)
}

async fn connect_to_any(addresses: Vec<SocketAddr>) -> io::Result<OwnedFd> {
    let mut untried = alternate_families(addresses).into_iter();
    let mut attempts: Vec<Attempt> = Vec::new();
    let mut next_attempt = Timer::after(Duration::ZERO);
    let mut last_error = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    poll_fn(|cx| {
        loop {
            let mut connected = None;
            let count = attempts.len();
            attempts.retain_mut(|attempt| match attempt.poll(cx) {
                Poll::Pending => true,
                Poll::Ready(Ok(socket)) => {
                    connected = Some(socket);
                    false
                }
                Poll::Ready(Err(error)) => {
                    last_error = error;
                    false
                }
            });
            if let Some(socket) = connected {
                return Poll::Ready(Ok(socket));
            }
            let has_failed = attempts.len() < count;
            if !has_failed && next_attempt.poll(cx).is_pending() {
                return Poll::Pending;
            }
            match untried.next() {
                Some(address) => {
                    attempts.push(Box::pin(with_timeout(connect_inet(address))));
                    next_attempt = Timer::after(ATTEMPT_DELAY);
                }
                None if attempts.is_empty() => {
                    let error = io::Error::from(io::ErrorKind::NotFound);
                    return Poll::Ready(Err(std::mem::replace(&mut last_error, error)));
                }
                None => next_attempt = Timer::never(),
            }
        }
    })
    .await
}

/// Orders addresses so that the two families alternate, the first address first.
fn alternate_families(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let is_ipv6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == is_ipv6);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut alternating = Vec::new();
    loop {
        let pair = [first.next(), second.next()];
        if pair == [None, None] {
            return alternating;
        }
        alternating.extend(pair.into_iter().flatten());
    }
}

/// Returns whether `address` stands for the address of the server at the other end of a connection.
#[cfg(feature = "editor")]
pub async fn is_address_of(address: &ServerAddress, server: SocketAddr) -> bool {
    let (ServerAddress::Inet(text) | ServerAddress::Tls(text)) = address else { return false };
    let Ok((host, port)) = split_host_and_port(text) else { return false };
    let canonical = |address: SocketAddr| (address.ip().to_canonical(), address.port());
    with_timeout(smol::net::resolve((host.to_owned(), port)))
        .await
        .is_ok_and(|found| found.into_iter().any(|other| canonical(other) == canonical(server)))
}

async fn connect_inet(address: SocketAddr) -> io::Result<OwnedFd> {
    let stream = Async::<TcpStream>::connect(address).await?;
    stream.get_ref().set_nodelay(true)?;
    sockopt::set_tcp_user_timeout(&stream, USER_TIMEOUT)?;
    Ok(stream.into_inner()?.into())
}

pub async fn with_timeout<T>(step: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let timeout = async {
        Timer::after(CONNECT_TIMEOUT).await;
        Err(io::ErrorKind::TimedOut.into())
    };
    step.or(timeout).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{AddressFamily, SocketType, bind, connect, getsockname, listen, socket_with};
    use std::net::{Ipv4Addr, TcpListener};
    use std::time::Instant;

    /// Returns a listener whose backlog is full, so that it answers no further connection, with
    /// the sockets that fill it.
    fn silent_listener() -> (SocketAddr, Vec<OwnedFd>) {
        let new_socket = || {
            let flags = rustix::net::SocketFlags::NONBLOCK;
            socket_with(AddressFamily::INET, SocketType::STREAM, flags, None).unwrap()
        };
        let listener = new_socket();
        bind(&listener, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        listen(&listener, 0).unwrap();
        let address = SocketAddr::try_from(getsockname(&listener).unwrap()).unwrap();
        let mut sockets = vec![listener];
        for _ in 0..8 {
            let client = new_socket();
            let _ = connect(&client, &address);
            sockets.push(client);
        }
        (address, sockets)
    }

    #[test]
    fn silent_address_does_not_delay_the_next() {
        let (silent, _sockets) = silent_listener();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let good = listener.local_addr().unwrap();
        let start = Instant::now();
        smol::block_on(connect_to_any(vec![silent, silent, good])).unwrap();
        assert!(start.elapsed() >= 2 * ATTEMPT_DELAY, "the silent addresses were not tried first");
        assert!(start.elapsed() < CONNECT_TIMEOUT);
    }

    #[test]
    fn refused_address_starts_the_next_at_once() {
        let refused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let good = listener.local_addr().unwrap();
        smol::block_on(connect_to_any(vec![refused, good])).unwrap();
        let error = smol::block_on(connect_to_any(vec![refused, refused])).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        let error = smol::block_on(connect_to_any(Vec::new())).unwrap_err();
        assert_eq!(error.to_string(), "the host has no address");
    }

    #[test]
    fn families_alternate_from_the_first() {
        let [a, b, c, d]: [SocketAddr; 4] =
            ["[::1]:1", "[::2]:1", "127.0.0.1:1", "127.0.0.2:1"].map(|text| text.parse().unwrap());
        assert_eq!(alternate_families(vec![a, b, c, d]), [a, c, b, d]);
        assert_eq!(alternate_families(vec![c, a, b]), [c, a, b]);
        assert_eq!(alternate_families(vec![c, d]), [c, d]);
    }
}
