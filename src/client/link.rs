//! One connection to a server: lines out, lines in.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll, ready};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown};
use smol::Async;

use crate::protocol::LineReader;

/// The longest line that is taken from a server: a list of all names in a room of 100,000.
const MAX_LINE: u32 = 16 << 20;

/// A connected socket, what waits to be written to it, and what was read and not handed out.
/// Dropping a future of [`receive`](Self::receive) loses nothing: all of it is kept here.
#[derive(Debug)]
pub struct Link {
    socket: Async<OwnedFd>,
    lines: LineReader,
    received: VecDeque<Vec<u8>>,
    outgoing: Vec<u8>,
    /// Nothing more will be written once `outgoing` is.
    finishing: bool,
}

impl Link {
    pub fn new(socket: OwnedFd) -> io::Result<Self> {
        Ok(Link {
            socket: Async::new(socket)?,
            lines: LineReader::new(MAX_LINE),
            received: VecDeque::new(),
            outgoing: Vec::new(),
            finishing: false,
        })
    }

    /// Puts a line, with its newline, on the way. It goes out while something is received.
    pub fn send(&mut self, line: &[u8]) {
        self.outgoing.extend_from_slice(line);
    }

    /// Closes our side once everything is out.
    pub fn finish(&mut self) {
        self.finishing = true;
    }

    /// The next line from the server, or nothing when it has closed its side.
    pub async fn receive(&mut self) -> io::Result<Option<Vec<u8>>> {
        poll_fn(|cx| self.poll_receive(cx)).await
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Vec<u8>>>> {
        self.poll_write(cx);
        loop {
            if let Some(line) = self.received.pop_front() {
                return Poll::Ready(Ok(Some(line)));
            }
            let mut buffer = [const { MaybeUninit::uninit() }; 16 * 1024];
            match recv(&self.socket, &mut buffer, RecvFlags::DONTWAIT) {
                Ok((([], _), _)) => return Poll::Ready(Ok(None)),
                Ok(((bytes, _), _)) => self.lines.read(bytes, usize::MAX, |line| {
                    self.received.extend(line.ok().map(<[u8]>::to_vec));
                }),
                Err(Errno::AGAIN) => ready!(self.socket.poll_readable(cx))?,
                Err(Errno::INTR) => {}
                Err(error) => return Poll::Ready(Err(error.into())),
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
        if std::mem::take(&mut self.finishing) {
            let _ = shutdown(&self.socket, Shutdown::Write);
        }
    }
}
