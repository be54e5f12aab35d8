//! One connection to a server: sends and receives lines, and keeps the connection alive.

use std::collections::VecDeque;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use smol::Async;

use super::Error;
use super::keepalive::{Action, Keepalive};
use crate::protocol::LineReader;

/// Lines that are returned between two reads of the socket.
///
/// The caller takes longer to handle a line than the server takes to send one. Reading ahead
/// empties the socket during a burst, so that the server does not close the client as slow.
const LINES_PER_READ: usize = 64;
/// Bytes of lines that are read ahead, above which the socket is not read.
const MAX_RECEIVED: usize = 8 << 20;

/// The longest line that is accepted from a server, in bytes: longer than a list of all names in a
/// room with 100,000 members.
const MAX_LINE: u32 = 16 << 20;

/// The line that asks the server for an answer.
pub const HEARTBEAT: &str = r#"{"data":"","id":"heartbeat"}"#;
/// The `id` of the answer, which the server sends to this client alone.
pub const HEARTBEAT_ID: &str = "heartbeat";

/// A connected socket with its send buffer and its received lines.
#[derive(Debug)]
pub struct Link {
    socket: Async<OwnedFd>,
    reader: LineReader,
    /// Lines that are not yet returned.
    received: VecDeque<Vec<u8>>,
    /// The bytes in `received`.
    received_bytes: usize,
    /// Lines that are still returned before the next read of the socket.
    lines_until_read: usize,
    /// The end of the connection, which is returned after all received lines.
    read_end: Option<io::Result<()>>,
    outgoing: Vec<u8>,
    last_read: Instant,
    keepalive: Keepalive,
}

impl Link {
    /// Creates a link over a connected socket. The caller sends the first [`HEARTBEAT`].
    pub fn new(socket: OwnedFd) -> io::Result<Self> {
        Ok(Link {
            socket: Async::new(socket)?,
            reader: LineReader::new(MAX_LINE),
            received: VecDeque::new(),
            received_bytes: 0,
            lines_until_read: 0,
            read_end: None,
            outgoing: Vec::new(),
            last_read: Instant::now(),
            keepalive: Keepalive::new(),
        })
    }

    /// Queues a line, given without its newline. [`poll_receive`](Self::poll_receive) writes it.
    pub fn send(&mut self, line: &str) {
        self.outgoing.extend_from_slice(line.as_bytes());
        self.outgoing.push(b'\n');
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
        loop {
            if self.lines_until_read == 0 {
                self.read_available();
                self.lines_until_read = LINES_PER_READ;
            }
            if let Some(line) = self.received.pop_front() {
                self.lines_until_read -= 1;
                self.received_bytes -= line.len();
                return Poll::Ready(Ok(Some(line)));
            }
            self.lines_until_read = 0;
            match self.read_end.take() {
                Some(end) => return Poll::Ready(end.map(|()| None)),
                None => ready!(self.socket.poll_readable(cx))?,
            }
        }
    }

    /// Reads from the socket until it is empty or [`MAX_RECEIVED`] is reached.
    fn read_available(&mut self) {
        while self.received_bytes < MAX_RECEIVED && self.read_end.is_none() {
            let mut buffer = [const { MaybeUninit::uninit() }; 16 * 1024];
            match recv(&self.socket, &mut buffer, RecvFlags::DONTWAIT) {
                Ok((([], _), _)) => self.read_end = Some(Ok(())),
                Ok(((bytes, _), _)) => {
                    self.last_read = Instant::now();
                    self.reader.read(bytes, |line| {
                        // A line over the limit is dropped. The next sequence number shows the gap.
                        if let Ok(line) = line {
                            self.received_bytes += line.len();
                            self.received.push_back(line.to_vec());
                        }
                        true
                    });
                }
                Err(Errno::AGAIN) => return,
                Err(Errno::INTR) => {}
                Err(error) => self.read_end = Some(Err(error.into())),
            }
        }
    }

    /// Writes queued lines until the socket is full.
    fn poll_write(&mut self, cx: &mut Context<'_>) {
        while !self.outgoing.is_empty() {
            let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
            match send(&self.socket, &self.outgoing, flags) {
                Ok(sent) => drop(self.outgoing.drain(..sent)),
                Err(Errno::AGAIN) => match self.socket.poll_writable(cx) {
                    Poll::Ready(Ok(())) => {}
                    _ => return,
                },
                Err(Errno::INTR) => {}
                // Ignored: a broken socket also fails its next read, after the last lines from
                // the server.
                Err(_) => self.outgoing.clear(),
            }
        }
    }
}
