//! One connection to a server: lines out, lines in, and a sign of life now and then.

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

/// Lines that are handed out between two looks at the socket. What is made of a line takes longer
/// than it takes the server to send another; so a burst is taken in first, lest the server finds
/// that we read too slowly.
const LINES_PER_READ: usize = 64;
/// Bytes that are taken in and not handed out, beyond which the rest of a burst waits.
const MAX_RECEIVED: usize = 8 << 20;

/// The longest line that is taken from a server: a list of all names in a room of 100,000.
const MAX_LINE: u32 = 16 << 20;

/// The line that asks the server for a sign of life.
pub const HEARTBEAT: &str = r#"{"data":"","id":"heartbeat"}"#;
/// The `id` of the answer, which comes to us alone.
pub const HEARTBEAT_ID: &str = "heartbeat";

/// A connected socket, what waits to be written to it, and what was read and not handed out.
#[derive(Debug)]
pub struct Link {
    socket: Async<OwnedFd>,
    reader: LineReader,
    received: VecDeque<Vec<u8>>,
    /// Bytes of them.
    received_bytes: usize,
    /// Lines that are yet to be handed out before the next look at the socket.
    lines_until_read: usize,
    /// How the connection came to its end, behind what was received.
    read_end: Option<io::Result<()>>,
    outgoing: Vec<u8>,
    /// When anything came last.
    last_read: Instant,
    keepalive: Keepalive,
}

impl Link {
    /// A link over a socket that is connected. A first [`HEARTBEAT`] is yet to be sent.
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

    /// Puts a line, given without its newline, on the way. It goes out while something is
    /// received.
    pub fn send(&mut self, line: &str) {
        self.outgoing.extend_from_slice(line.as_bytes());
        self.outgoing.push(b'\n');
    }

    /// The next line from the server, or the reason why there is none.
    pub fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<Vec<u8>, Error>> {
        loop {
            if let Poll::Ready(line) = self.poll_read(cx) {
                return Poll::Ready(match line {
                    Ok(line) => line.ok_or(Error::Closed(None)),
                    Err(error) => Err(Error::Lost(error)),
                });
            }
            // Only behind all that is there to read, lest a long sleep looks like a long silence.
            match ready!(self.keepalive.poll(self.last_read, cx)) {
                Action::SendHeartbeat => self.send(HEARTBEAT),
                Action::Disconnect => {
                    let error = io::Error::new(io::ErrorKind::TimedOut, "the server is silent");
                    return Poll::Ready(Err(Error::Lost(error)));
                }
            }
        }
    }

    /// The next line, or nothing when the server has closed its side.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Vec<u8>>>> {
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

    /// Takes in what is there to be read.
    fn read_available(&mut self) {
        while self.received_bytes < MAX_RECEIVED && self.read_end.is_none() {
            let mut buffer = [const { MaybeUninit::uninit() }; 16 * 1024];
            match recv(&self.socket, &mut buffer, RecvFlags::DONTWAIT) {
                Ok((([], _), _)) => self.read_end = Some(Ok(())),
                Ok(((bytes, _), _)) => {
                    self.last_read = Instant::now();
                    self.reader.read(bytes, usize::MAX, |line| {
                        let Ok(line) = line else { return };
                        self.received_bytes += line.len();
                        self.received.push_back(line.to_vec());
                    });
                }
                Err(Errno::AGAIN) => return,
                Err(Errno::INTR) => {}
                Err(error) => self.read_end = Some(Err(error.into())),
            }
        }
    }

    /// Writes what it can. A socket that is broken says so to those who read from it, behind
    /// what the server had to say.
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
                Err(_) => self.outgoing.clear(),
            }
        }
    }
}
