//! The PROXY protocol, versions 1 and 2: a proxy sends the address of its client in a header, before
//! the bytes of the client.
//!
//! The header is read before a connection becomes a client. The rest of the server gets a socket
//! and an address, as for any other connection.
//!
//! The format is that of <https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>.

mod header;

use std::cell::Cell;
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::str::FromStr;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_lite::FutureExt;
use log::{debug, warn};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown};
use smol::{LocalExecutor, Task, Timer};

pub use header::{Header, HeaderError, MAX_PARSED_BYTES, parse_header};

use crate::protocol::{ByeCode, Frame};
use crate::room::Peer;
use crate::server::Config;
use crate::server::socket::{ReadyWait, Socket};

/// The time that a header may take. The specification asks for at least three seconds, so that one
/// lost packet can be sent again.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// The time for which a connection keeps its place if others wait to be accepted.
const PLACE_TIMEOUT: Duration = Duration::from_secs(1);
/// The time that a refused connection has to read its bye.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(1);
/// The most bytes of a refused connection that are discarded, so that the bye is not lost.
const MAX_DISCARDED_BYTES: usize = 64 * 1024;

/// The addresses of a proxy: a network, or all unix sockets.
///
/// It is parsed from an IP address, a network such as `10.0.0.0/8`, or `unix`.
///
/// # Examples
///
/// ```
/// use smolchat::server::{Config, TrustedProxy};
///
/// let mut config = Config::default();
/// config.trusted_proxies.push("10.0.0.0/8".parse().unwrap());
/// assert!("proxy.example".parse::<TrustedProxy>().is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrustedProxy {
    /// An address and the number of its bits that count, or `None` for unix sockets.
    network: Option<(IpAddr, u32)>,
}

impl TrustedProxy {
    fn contains(self, peer: Peer) -> bool {
        match (self.network, peer) {
            (None, Peer::Unix) => true,
            (Some((network, bits)), Peer::Inet(ip, _)) => {
                network.is_ipv4() == ip.is_ipv4() && prefix(network, bits) == prefix(ip, bits)
            }
            _ => false,
        }
    }
}

/// Returns the first bits of an address, followed by zeros.
fn prefix(ip: IpAddr, bits: u32) -> u128 {
    let ip = match ip {
        IpAddr::V4(ip) => u128::from(ip.to_bits()) << 96,
        IpAddr::V6(ip) => ip.to_bits(),
    };
    ip & u128::MAX.checked_shl(128 - bits).unwrap_or(0)
}

impl FromStr for TrustedProxy {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "unix" {
            return Ok(TrustedProxy { network: None });
        }
        let expected = "expected an address such as 192.0.2.1 or 2001:db8::/32, or unix";
        let (ip, bits) = text.split_once('/').map_or((text, None), |(ip, bits)| (ip, Some(bits)));
        let ip: IpAddr = ip.parse().map_err(|_| expected)?;
        let max_bits = if ip.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            Some(bits) if bits.starts_with('+') => return Err(expected),
            Some(bits) => bits.parse().ok().filter(|bits| *bits <= max_bits).ok_or(expected)?,
            None => max_bits,
        };
        // The address of a peer is canonical.
        let network = match ip.to_canonical() {
            canonical if ip.is_ipv6() && canonical.is_ipv4() && bits >= 96 => {
                (canonical, bits - 96)
            }
            _ => (ip, bits),
        };
        Ok(TrustedProxy { network: Some(network) })
    }
}

/// Returns the most connections of proxies that are not clients yet, in addition to `max_clients`.
pub fn max_pending(config: &Config, max_clients: usize) -> usize {
    if config.trusted_proxies.is_empty() { 0 } else { (max_clients / 4).max(16) }
}

/// The connections of trusted proxies that are not clients yet.
pub struct PendingConnections {
    proxies: Vec<TrustedProxy>,
    limit: usize,
    /// The oldest first.
    queue: VecDeque<PendingConnection>,
}

struct PendingConnection {
    /// Reads the header. Dropping it closes the connection.
    task: Task<()>,
    /// The connection and the address of its client, when the task has ended. The task does not
    /// return them, because the type of its output would be an instance of the executor's code.
    identified: Rc<Cell<Option<(Socket, Peer)>>>,
    /// The time for which the connection keeps its place.
    place: Timer,
}

impl PendingConnections {
    /// Creates an empty queue.
    pub fn new(config: &Config) -> Self {
        let (proxies, limit) =
            (config.trusted_proxies.clone(), max_pending(config, config.room.max_clients));
        PendingConnections { proxies, limit, queue: VecDeque::new() }
    }

    /// Returns whether connections from this address begin with a header.
    pub fn expects_header(&self, peer: Peer) -> bool {
        self.proxies.iter().any(|proxy| proxy.contains(peer))
    }

    /// Returns whether no connection may be accepted.
    pub fn is_full(&self) -> bool {
        !self.proxies.is_empty() && self.queue.len() >= self.limit
    }

    /// Returns the number of connections.
    #[cfg(test)]
    pub fn count(&self) -> usize {
        self.queue.len()
    }

    /// Starts to read the header of a connection.
    pub fn push(&mut self, executor: &LocalExecutor<'static>, socket: Socket, proxy: Peer) {
        let identified = Rc::new(Cell::new(None));
        let output = Rc::clone(&identified);
        let task = async move { output.set(identify(socket, proxy).await) };
        let task = executor.spawn(task.boxed_local());
        let place = Timer::after(PLACE_TIMEOUT);
        self.queue.push_back(PendingConnection { task, identified, place });
    }

    /// Polls until the queue is not full. Closes the oldest connection after [`PLACE_TIMEOUT`].
    pub fn poll_place(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_full()
            && let Some(oldest) = self.queue.front_mut()
        {
            ready!(Pin::new(&mut oldest.place).poll(cx));
            self.queue.pop_front();
            warn!("too many connections wait for a PROXY header: closed the oldest");
        }
        Poll::Ready(())
    }

    /// Polls for a connection whose header was read.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<(Socket, Peer)> {
        let mut next = None;
        self.queue.retain_mut(|pending| {
            if next.is_some() {
                return true;
            }
            match Pin::new(&mut pending.task).poll(cx) {
                Poll::Ready(()) => next = pending.identified.take(),
                Poll::Pending => return true,
            }
            false
        });
        next.map_or(Poll::Pending, Poll::Ready)
    }
}

/// Reads the header of a connection and returns the address of its client. Closes the connection
/// and returns `None` if there is no valid header, or if the proxy opened it for itself and sends
/// nothing, as for a health check.
async fn identify(socket: Socket, proxy: Peer) -> Option<(Socket, Peer)> {
    let peer = match read_header(&socket).or(timeout()).await {
        Ok(Header::Client(address)) => {
            let peer = Peer::from(address);
            debug!("{peer} connects through {proxy}");
            peer
        }
        Ok(Header::Unknown) => without_limits(proxy),
        Ok(Header::Local) => {
            let first = receive(&socket, &mut [0], RecvFlags::PEEK).or(timeout()).await;
            if !matches!(first, Ok(1..)) {
                return None;
            }
            without_limits(proxy)
        }
        Err(error) => {
            match error.kind() {
                io::ErrorKind::InvalidData | io::ErrorKind::TimedOut => {
                    warn!("{proxy} refused: {error}");
                    refuse(&socket).await;
                }
                _ => debug!("{proxy} left before its PROXY header: {error}"),
            }
            return None;
        }
    };
    Some((socket, peer))
}

/// Returns the address of a proxy as that of a client to which no limit by address applies.
fn without_limits(proxy: Peer) -> Peer {
    match proxy {
        Peer::Inet(ip, port) => Peer::Proxy(ip, port),
        other => other,
    }
}

async fn timeout<T>() -> io::Result<T> {
    Timer::after(HEADER_TIMEOUT).await;
    let text = format!("no PROXY header within {} s", HEADER_TIMEOUT.as_secs());
    Err(io::Error::new(io::ErrorKind::TimedOut, text))
}

/// Reads a header, and no byte after it.
async fn read_header(socket: &Socket) -> io::Result<Header> {
    let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
    let mut buffer = [0; MAX_PARSED_BYTES];
    let mut length = 0;
    loop {
        let (_, free) = buffer.split_at_mut(length);
        let count = receive(socket, free, RecvFlags::PEEK).await?;
        let bytes = buffer.get(..length + count).unwrap_or_default();
        let header = parse_header(bytes).map_err(invalid)?;
        // Bytes that do not complete the header are a part of it. They are consumed, so that the
        // socket is not readable until more arrive.
        let end = header.map_or(length + count, |(_, end)| end);
        discard(socket, end - length).await?;
        length = end;
        match header {
            Some((header, _)) => return Ok(header),
            None if count > 0 => {}
            None if length > 0 => return Err(invalid(HeaderError::Invalid)),
            None => return Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

/// Receives and discards a number of bytes, or all bytes if there are fewer.
async fn discard(socket: &Socket, mut count: usize) -> io::Result<()> {
    let mut buffer = [0; 128];
    while count > 0 {
        let (part, _) = buffer.split_at_mut(count.min(128));
        match receive(socket, part, RecvFlags::empty()).await? {
            0 => break,
            received => count -= received,
        }
    }
    Ok(())
}

/// Receives bytes as soon as there are any, or 0 bytes at the end of the stream.
async fn receive(socket: &Socket, buffer: &mut [u8], flags: RecvFlags) -> io::Result<usize> {
    let mut wait = ReadyWait::default();
    loop {
        match recv(socket, &mut *buffer, flags | RecvFlags::DONTWAIT) {
            Ok((_, count)) => return Ok(count),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        poll_fn(|cx| wait.poll(socket.poll_readable(cx))).await?;
    }
}

/// Sends a bye and waits until the other side has closed the connection.
async fn refuse(socket: &Socket) {
    let mut bye = Vec::new();
    Frame::bye(ByeCode::ProxyRequired, 0).encode(&mut bye);
    // Ignored: the send buffer of a new connection is empty, and a broken connection needs no bye.
    let _ = send(socket, &bye, SendFlags::NOSIGNAL | SendFlags::DONTWAIT);
    let _ = shutdown(socket, Shutdown::Write);
    let timeout = async {
        Timer::after(REFUSAL_TIMEOUT).await;
        Ok(())
    };
    let _ = discard(socket, MAX_DISCARDED_BYTES).or(timeout).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::memory::Ceiling;

    #[test]
    fn trusted_proxy_contains_its_network_alone() {
        let ip = |text: &str| Peer::Inet(text.parse().unwrap(), 1);
        for (proxy, inside, outside) in [
            ("192.0.2.1", "192.0.2.1", "192.0.2.2"),
            ("192.0.2.129/25", "192.0.2.255", "192.0.2.127"),
            ("0.0.0.0/0", "255.255.255.255", "::1"),
            ("::/0", "2001:db8::1", "192.0.2.1"),
            ("2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::1"),
            ("::1", "::1", "127.0.0.1"),
            ("::ffff:192.0.2.1", "192.0.2.1", "192.0.2.0"),
            ("::ffff:10.0.0.0/104", "10.1.2.3", "11.0.0.0"),
            ("fe80::1", "fe80::1", "fe80::2"),
        ] {
            let proxy: TrustedProxy = proxy.parse().unwrap();
            assert!(proxy.contains(ip(inside)), "{proxy:?}");
            assert!(!proxy.contains(ip(outside)) && !proxy.contains(Peer::Unix), "{proxy:?}");
        }
        let unix: TrustedProxy = "unix".parse().unwrap();
        assert!(unix.contains(Peer::Unix) && !unix.contains(ip("::1")));
        for text in
            ["", "proxy.example", "192.0.2.1:80", "192.0.2.1/33", "::1/129", "::1/", "::1/+1"]
        {
            assert!(text.parse::<TrustedProxy>().is_err(), "{text}");
        }
    }

    #[test]
    fn pending_connections_are_small_and_counted() {
        let (one, _two) = smol::Async::<std::os::unix::net::UnixStream>::pair().unwrap();
        let socket = smol::Async::new(one.into_inner().unwrap().into()).unwrap();
        let future = identify(socket, Peer::Unix);
        assert!(size_of_val(&future) <= 640, "{} bytes", size_of_val(&future));

        let mut config = Config::default();
        let without = Ceiling::of(&config).total();
        config.trusted_proxies.push("unix".parse().unwrap());
        let each = 1024 + config.buffers.kernel_bytes();
        assert_eq!(Ceiling::of(&config).total(), without + (250 * each) as u64);
    }
}
