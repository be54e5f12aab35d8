//! One connection to a server: sends and receives lines, and keeps the connection alive.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, getpeername, recv, send};
use smol::Async;

use super::connect::with_timeout;
use super::keepalive::{Action, Keepalive};
use super::tls::TlsStream;
use super::{Error, ServerAddress};
use crate::protocol::LineReader;

/// Lines that are returned between two reads of the socket.
///
/// The caller takes longer to handle a line than the server takes to send one. Reading ahead
/// empties the socket during a burst, so that the server does not close the client as slow.
const LINES_PER_READ: usize = 64;
/// Lines after which other tasks run, however fast the server sends.
const LINES_PER_POLL: usize = 1024;
/// Bytes after which other tasks run.
const BYTES_PER_POLL: usize = 1 << 20;
/// Bytes that are read ahead, with [`LINE_OVERHEAD`] for each line.
const MAX_RECEIVED: usize = 8 << 20;
/// The memory of a queued line besides its bytes: its `Vec` and the header of its allocation.
const LINE_OVERHEAD: usize = 64;
/// Bytes of an unfinished line that restart the idle time, like a line: 4 s at 9,600 baud.
const PROGRESS_BYTES: usize = 4 << 10;
/// Bytes that wait to be sent, above which no further line is queued.
const MAX_OUTGOING: usize = 1 << 20;

/// The longest line that is accepted from a server, in bytes: that of the largest `--max-line`,
/// 1 MiB, whose text is escaped (docs/protocol.md).
const MAX_LINE: u32 = (7 << 20) + 512;

const SEND_FLAGS: SendFlags = SendFlags::NOSIGNAL.union(SendFlags::DONTWAIT);

/// The line that asks the server for an answer.
pub const HEARTBEAT: &str = r#"{"data":"","id":"heartbeat"}"#;
/// The `id` of the answer, which the server sends to this client alone.
pub const HEARTBEAT_ID: &str = "heartbeat";

/// A connected socket with its send buffer and its received lines.
#[derive(Debug)]
pub struct Link {
    socket: Async<OwnedFd>,
    /// The encryption, for an address with `tls:`.
    tls: Option<Box<TlsStream>>,
    reader: LineReader,
    /// Lines that are not yet returned.
    received: VecDeque<Vec<u8>>,
    /// The bytes in `received`.
    received_bytes: usize,
    /// Lines that are still returned before the next read of the socket.
    lines_until_read: usize,
    /// Lines and bytes that were returned since the last yield to other tasks.
    returned: (usize, usize),
    /// The end of the connection, which is returned after all received lines.
    read_end: Option<io::Result<()>>,
    outgoing: Vec<u8>,
    /// The time of the last line, or of the last [`PROGRESS_BYTES`] of one.
    last_read: Instant,
    /// Bytes that were read since then.
    bytes_since: usize,
    keepalive: Keepalive,
}

impl Link {
    /// Creates a link over a connected socket. The caller sends the first [`HEARTBEAT`].
    pub fn new(socket: OwnedFd) -> io::Result<Self> {
        Ok(Link {
            socket: Async::new(socket)?,
            tls: None,
            reader: LineReader::new(MAX_LINE),
            received: VecDeque::new(),
            received_bytes: 0,
            lines_until_read: 0,
            returned: (0, 0),
            read_end: None,
            outgoing: Vec::new(),
            last_read: Instant::now(),
            bytes_since: 0,
            keepalive: Keepalive::new(),
        })
    }

    /// Encrypts the connection, before anything else is sent.
    ///
    /// # Errors
    ///
    /// Returns an error if the server does not complete the handshake, or if its key is not
    /// trusted.
    pub async fn start_tls(
        &mut self,
        tls: TlsStream,
        address: &ServerAddress,
    ) -> Result<(), Error> {
        self.tls = Some(Box::new(tls));
        let handshake = poll_fn(|cx| {
            loop {
                self.poll_write(cx);
                if !self.is_handshaking() {
                    return Poll::Ready(Ok(()));
                }
                self.read_available();
                if self.is_handshaking() {
                    match self.read_end.take() {
                        Some(Ok(())) => return Poll::Ready(Err(cut_off())),
                        Some(Err(error)) => return Poll::Ready(Err(error)),
                        None => ready!(self.socket.poll_readable(cx))?,
                    }
                }
            }
        });
        let result = with_timeout(handshake).await;
        result.map_err(|error| match &self.tls {
            Some(tls) => tls.handshake_error(address.clone(), error),
            None => Error::Connect(address.clone(), error),
        })
    }

    fn is_handshaking(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.is_handshaking())
    }

    /// Returns the address of the server, unless it is a Unix socket.
    pub fn server_address(&self) -> Option<SocketAddr> {
        getpeername(&self.socket).ok()??.try_into().ok()
    }

    /// Queues a line, given without its newline. [`poll_receive`](Self::poll_receive) writes it.
    pub fn send(&mut self, line: &str) {
        self.outgoing.extend_from_slice(line.as_bytes());
        self.outgoing.push(b'\n');
    }

    /// Returns whether fewer than [`MAX_OUTGOING`] bytes wait to be sent, so that a line can be queued.
    pub fn has_capacity(&self) -> bool {
        self.outgoing.len() < MAX_OUTGOING
    }

    /// Writes queued lines, and returns the next line from the server or the reason for the end of
    /// the connection.
    pub fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<Vec<u8>, Error>> {
        loop {
            if let Poll::Ready(line) = self.poll_line(cx) {
                return Poll::Ready(match line {
                    Ok(line) => line.ok_or(Error::Closed(None)),
                    Err(error) => Err(Error::Lost(error)),
                });
            }
            // Only after the socket is empty: after a suspend, the answer may wait there unread.
            match ready!(self.keepalive.poll(self.last_read, cx)) {
                Action::SendHeartbeat => self.send(HEARTBEAT),
                Action::Disconnect => {
                    let text = "the server did not answer a heartbeat";
                    let error = io::Error::new(io::ErrorKind::TimedOut, text);
                    return Poll::Ready(Err(Error::Lost(error)));
                }
            }
        }
    }

    /// Returns the next line, or `None` when the server has closed its side.
    fn poll_line(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Vec<u8>>>> {
        self.poll_write(cx);
        let (lines, bytes) = self.returned;
        if lines >= LINES_PER_POLL || bytes >= BYTES_PER_POLL {
            self.returned = (0, 0);
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        loop {
            if self.lines_until_read == 0 {
                self.read_available();
                self.lines_until_read = LINES_PER_READ;
            }
            if let Some(line) = self.received.pop_front() {
                self.lines_until_read -= 1;
                self.received_bytes -= line.len() + LINE_OVERHEAD;
                self.returned = (lines + 1, bytes + line.len());
                return Poll::Ready(Ok(Some(line)));
            }
            self.lines_until_read = 0;
            match self.read_end.take() {
                Some(end) => return Poll::Ready(end.map(|()| None)),
                None => ready!(self.socket.poll_readable(cx))?,
            }
        }
    }

    /// Reads from the socket until it is empty, [`MAX_RECEIVED`] is reached, or so many bytes are
    /// read: those of a line that is too long are not queued.
    fn read_available(&mut self) {
        let mut budget = MAX_RECEIVED;
        while self.received_bytes < MAX_RECEIVED && budget > 0 && self.read_end.is_none() {
            let mut buffer = [const { MaybeUninit::uninit() }; 16 * 1024];
            match recv(&self.socket, &mut buffer, RecvFlags::DONTWAIT) {
                Ok((([], _), _)) => {
                    // Without close_notify, the end may not come from the server.
                    self.read_end = Some(match &self.tls {
                        Some(tls) if !tls.is_closed() => Err(cut_off()),
                        _ => Ok(()),
                    });
                }
                Ok(((bytes, _), _)) => {
                    budget = budget.saturating_sub(bytes.len());
                    match self.tls.take() {
                        Some(tls) => self.decrypt(tls, bytes),
                        None => self.read_lines(bytes),
                    }
                }
                Err(Errno::AGAIN) => return,
                Err(Errno::INTR) => {}
                Err(error) => self.read_end = Some(Err(error.into())),
            }
        }
    }

    /// Reads the lines in encrypted bytes.
    fn decrypt(&mut self, mut tls: Box<TlsStream>, bytes: &[u8]) {
        match tls.read(bytes, |data| self.read_lines(data)) {
            Ok(()) if tls.is_closed() => self.read_end = Some(Ok(())),
            Ok(()) => {}
            Err(error) => self.read_end = Some(Err(error)),
        }
        self.tls = Some(tls);
    }

    fn read_lines(&mut self, bytes: &[u8]) {
        self.bytes_since += bytes.len();
        if self.bytes_since >= PROGRESS_BYTES || bytes.contains(&b'\n') {
            self.last_read = Instant::now();
            self.bytes_since = 0;
        }
        self.reader.read(bytes, |line| {
            // A line over the limit is dropped. The next sequence number shows the gap.
            if let Ok(line) = line {
                self.received_bytes += line.len() + LINE_OVERHEAD;
                self.received.push_back(line.to_vec());
            }
            true
        });
    }

    /// Writes queued lines until the socket is full.
    pub fn poll_write(&mut self, cx: &mut Context<'_>) {
        loop {
            let unsent = match &mut self.tls {
                Some(tls) => {
                    tls.encrypt(&mut self.outgoing);
                    tls.output()
                }
                None => &mut self.outgoing,
            };
            if unsent.is_empty() {
                return;
            }
            match send(&self.socket, unsent, SEND_FLAGS) {
                Ok(sent) => drop(unsent.drain(..sent)),
                Err(Errno::AGAIN) => match self.socket.poll_writable(cx) {
                    Poll::Ready(Ok(())) => {}
                    _ => return,
                },
                Err(Errno::INTR) => {}
                // Ignored: a broken socket also fails its next read, after the last lines from
                // the server.
                Err(_) => {
                    unsent.clear();
                    self.outgoing.clear();
                }
            }
        }
    }
}

impl Drop for Link {
    /// Tells the server that the connection ends, if it is encrypted and the socket has room.
    fn drop(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.close();
            let _ = send(&self.socket, tls.output(), SEND_FLAGS);
        }
    }
}

/// Returns the error of an encrypted connection that ends without close_notify.
fn cut_off() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the connection was cut off")
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    use super::*;

    fn pair() -> (Link, UnixStream) {
        let (client, server) = UnixStream::pair().unwrap();
        (Link::new(client.into()).unwrap(), server)
    }

    fn send(link: &mut Link, server: &mut UnixStream, bytes: &[u8]) {
        server.write_all(bytes).unwrap();
        link.read_available();
    }

    #[test]
    fn queue_of_empty_lines_is_bounded() {
        let (mut link, mut server) = pair();
        server.set_nonblocking(true).unwrap();
        for _ in 0..4096 {
            let _ = server.write(&[b'\n'; 16 << 10]);
            link.read_available();
        }
        assert!(link.received.len() * LINE_OVERHEAD <= MAX_RECEIVED + (16 << 10) * LINE_OVERHEAD);
    }

    #[test]
    fn byte_of_unfinished_line_keeps_the_idle_time() {
        let (mut link, mut server) = pair();
        let start = link.last_read;
        for _ in 0..100 {
            send(&mut link, &mut server, b"x");
        }
        assert_eq!(link.last_read, start);
        send(&mut link, &mut server, &[b'x'; PROGRESS_BYTES]);
        let progress = link.last_read;
        assert!(progress > start);
        send(&mut link, &mut server, b"x\n");
        assert!(link.last_read > progress);
    }

    #[test]
    fn flood_of_lines_lets_other_tasks_run() {
        let (mut link, mut server) = pair();
        std::thread::spawn(move || while server.write_all(&[b'\n'; 1024]).is_ok() {});
        let mut lines = 0;
        while smol::block_on(futures_lite::future::poll_once(std::future::poll_fn(|cx| {
            link.poll_line(cx)
        })))
        .is_some()
        {
            lines += 1;
        }
        assert!(lines <= LINES_PER_POLL, "{lines}");
    }
}
