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
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_lite::FutureExt;
use log::{debug, warn};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown};
use smol::{LocalExecutor, Task, Timer};

pub use header::{HeaderError, MAX_PARSED_BYTES, ProxyHeader, parse_header};

#[cfg(feature = "irc")]
use super::irc::error_line;
#[cfg(feature = "tls")]
use super::tls::{ACCESS_DENIED, FIRST_BYTE, plain_alert};
use crate::protocol::{ByeCode, Frame};
use crate::room::Peer;
#[cfg(feature = "tls")]
use crate::server::socket::peek;
use crate::server::socket::{ReadyWait, Socket};
use crate::server::{Config, ListenerProtocol, TrustedProxy};

/// The time that a header may take. The specification asks for at least three seconds, so that one
/// lost packet can be sent again.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);
/// The time for which a connection keeps its place if others wait to be accepted.
const PLACE_TIMEOUT: Duration = Duration::from_secs(1);
/// The time that a refused connection has to read its bye.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(1);
/// The most bytes of a refused connection that are discarded, so that the bye is not lost.
const MAX_DISCARDED_BYTES: usize = 64 * 1024;

/// The connections of trusted proxies that are not clients yet.
pub struct PendingConnections {
    proxies: Vec<TrustedProxy>,
    /// Clients can use TLS.
    has_tls: bool,
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
    protocol: ListenerProtocol,
}

impl PendingConnections {
    /// Creates an empty queue.
    pub fn new(config: &Config) -> Self {
        let limit = config.max_pending(config.room.max_clients);
        let proxies = config.trusted_proxies.clone();
        PendingConnections { proxies, has_tls: config.has_tls(), limit, queue: VecDeque::new() }
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
    pub fn push(
        &mut self,
        executor: &LocalExecutor<'static>,
        socket: Socket,
        proxy: Peer,
        protocol: ListenerProtocol,
    ) {
        let identified = Rc::new(Cell::new(None));
        let output = Rc::clone(&identified);
        let has_tls = self.has_tls;
        let task = async move { output.set(identify(socket, proxy, protocol, has_tls).await) };
        let task = executor.spawn(task.boxed_local());
        let place = Timer::after(PLACE_TIMEOUT);
        self.queue.push_back(PendingConnection { task, identified, place, protocol });
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

    /// Polls for a connection whose header was read. Returns also the protocol of its listener.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<(Socket, Peer, ListenerProtocol)> {
        let mut next = None;
        self.queue.retain_mut(|pending| {
            if next.is_some() {
                return true;
            }
            match Pin::new(&mut pending.task).poll(cx) {
                Poll::Ready(()) => {
                    let identified = pending.identified.take();
                    next = identified.map(|(socket, peer)| (socket, peer, pending.protocol));
                }
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
async fn identify(
    socket: Socket,
    proxy: Peer,
    protocol: ListenerProtocol,
    has_tls: bool,
) -> Option<(Socket, Peer)> {
    let peer = match read_header(&socket).or(timeout()).await {
        Ok(ProxyHeader::Client(address)) => {
            let peer = Peer::from(address);
            debug!("{peer} connects through {proxy}");
            peer
        }
        Ok(ProxyHeader::Unknown) => without_limits(proxy),
        Ok(ProxyHeader::Local) => {
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
                    refuse(&socket, protocol, has_tls).await;
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
        Peer::Inet(ip, port) | Peer::Proxy(ip, port) => Peer::Proxy(ip, port),
        Peer::Unix(_) => Peer::Unix(None),
    }
}

async fn timeout<T>() -> io::Result<T> {
    Timer::after(HEADER_TIMEOUT).await;
    let text = format!("no PROXY header within {} s", HEADER_TIMEOUT.as_secs());
    Err(io::Error::new(io::ErrorKind::TimedOut, text))
}

/// Reads a header, and no byte after it.
async fn read_header(socket: &Socket) -> io::Result<ProxyHeader> {
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

/// Sends a bye, or an alert to a client that speaks TLS, and waits until the other side has closed the
/// connection.
#[cfg_attr(not(feature = "tls"), expect(unused_variables))]
async fn refuse(socket: &Socket, protocol: ListenerProtocol, has_tls: bool) {
    let mut bye = Vec::new();
    match protocol {
        ListenerProtocol::Chat => Frame::bye(ByeCode::ProxyRequired, 0).encode(&mut bye),
        #[cfg(feature = "irc")]
        ListenerProtocol::Irc => bye = error_line(ByeCode::ProxyRequired.text()),
    }
    #[cfg(feature = "tls")]
    if has_tls && peek(socket) == Some(FIRST_BYTE) {
        bye = plain_alert(ACCESS_DENIED).into();
    }
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
    fn pending_connections_are_small_and_counted() {
        let (one, _two) = smol::Async::<std::os::unix::net::UnixStream>::pair().unwrap();
        let socket = smol::Async::new(one.into_inner().unwrap().into()).unwrap();
        let future = identify(socket, Peer::Unix(None), ListenerProtocol::Chat, true);
        assert!(size_of_val(&future) <= 640, "{} bytes", size_of_val(&future));

        let mut config = Config::default();
        let without = Ceiling::of(&config).total();
        config.trusted_proxies.push("unix".parse().unwrap());
        let each = 1024 + config.buffers.kernel_bytes();
        assert_eq!(Ceiling::of(&config).total(), without + (250 * each) as u64);
    }
}
