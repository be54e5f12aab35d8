//! One connection: bytes out, lines in.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::TcpStream;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::{Duration, Instant};

use futures_lite::FutureExt;
use futures_lite::future::yield_now;
use rustix::net::{Shutdown, shutdown, sockopt};
use smol::{Async, Timer};
use smolchat::protocol::ByeCode;

use crate::check::ExpectedReply;
use crate::shared::{Addresses, POLL_INTERVAL, RecentLines, SharedState, TIMEOUT, record_line};

/// The result of a read.
pub enum ReadEvent {
    /// A line with its newline.
    Line(Vec<u8>),
    /// No line arrived in time.
    Timeout,
    /// The connection was closed, with or without an error.
    Closed(Option<io::Error>),
}

/// A connection to the server, with the state that its checks need.
pub struct Connection {
    socket: Async<OwnedFd>,
    is_tcp: bool,
    buffer: Vec<u8>,
    /// Start of the unread bytes in `buffer`.
    start: usize,
    pub shared: Rc<SharedState>,
    recent_lines: RecentLines,
    /// The member, unless the client is a bad one.
    pub member: Option<usize>,
    /// A number that no other connection has.
    pub id: u64,
    /// The index of the server.
    node: usize,
    /// How many times that server had been killed when the connection was opened.
    generation: u64,
    /// The `seq` of the welcome, if it was received.
    pub welcome_seq: Option<u64>,
    /// The `seq` of the last frame received; before the welcome, that of the resumed session.
    pub last_seq: u64,
    /// Number of history frames that the hello asked for.
    pub history_frames: usize,
    /// History frames that are expected next.
    pub history_range: Range<u64>,
    /// Whether a gap may be next.
    pub is_gap_allowed: bool,
    /// Replies that are outstanding, in order.
    pub expected_replies: VecDeque<ExpectedReply>,
    /// The code of the `bye` that the server is expected to send.
    pub expected_bye: Option<ByeCode>,
    /// The code of the `bye` that the server has sent.
    pub bye: Option<ByeCode>,
    /// Whether the connection was not read for some time, so that it may be closed as slow.
    pub may_be_slow: bool,
}

impl Connection {
    /// Connects to one of the servers, and retries while they do not run.
    pub async fn connect(
        shared: &Rc<SharedState>,
        is_tcp: bool,
        member: Option<usize>,
        recent_lines: &RecentLines,
    ) -> Result<Self, String> {
        let end = Instant::now() + TIMEOUT;
        // Each connection begins with the next server.
        let mut attempt = shared.totals.borrow().connections as usize;
        loop {
            let count = shared.nodes.borrow().len();
            let node = attempt.checked_rem(count).unwrap_or_default();
            attempt += 1;
            let status = shared.nodes.borrow().get(node).cloned();
            let connection = match status.and_then(|status| status.addresses) {
                Some(addresses) => {
                    let server = (node, &addresses);
                    Self::connect_to(shared, server, is_tcp, member, recent_lines).await
                }
                None => Err(ErrorKind::NotConnected.into()),
            };
            match connection {
                Ok(connection) => return Ok(connection),
                Err(error) if Instant::now() > end => {
                    return Err(format!("cannot connect: {error}"));
                }
                Err(_) => Timer::after(POLL_INTERVAL).await,
            };
        }
    }

    /// Connects to one of the addresses of a server, by its index.
    pub async fn connect_to(
        shared: &Rc<SharedState>,
        (node, (addr, path)): (usize, &Addresses),
        is_tcp: bool,
        member: Option<usize>,
        recent_lines: &RecentLines,
    ) -> io::Result<Self> {
        let generation = shared.nodes.borrow()[node].generation;
        let socket = if is_tcp {
            OwnedFd::from(Async::<TcpStream>::connect(*addr).await?.into_inner()?)
        } else {
            OwnedFd::from(Async::<UnixStream>::connect(path).await?.into_inner()?)
        };
        let id = shared.totals.borrow().connections + 1;
        shared.totals.borrow_mut().connections = id;
        shared.open_connections.set(shared.open_connections.get() + 1);
        let transport = if is_tcp { "tcp" } else { "unix" };
        record_line(
            recent_lines,
            "--",
            format!("connection {id} to {node} over {transport}").as_bytes(),
        );
        Ok(Self {
            socket: Async::new(socket)?,
            is_tcp,
            buffer: Vec::new(),
            start: 0,
            shared: Rc::clone(shared),
            recent_lines: Rc::clone(recent_lines),
            member,
            id,
            node,
            generation,
            welcome_seq: None,
            last_seq: 0,
            history_frames: 0,
            history_range: 0..0,
            is_gap_allowed: false,
            expected_replies: VecDeque::new(),
            expected_bye: None,
            bye: None,
            may_be_slow: false,
        })
    }

    /// Sends bytes. An error is not returned: the next read returns it.
    pub async fn write(&self, mut bytes: &[u8]) {
        record_line(&self.recent_lines, ">", bytes);
        while !bytes.is_empty() {
            match self.socket.write_with(|fd| Ok(rustix::io::write(fd, bytes)?)).await {
                Ok(written) => bytes = &bytes[written..],
                Err(_) => return,
            }
        }
    }

    /// Sends a line.
    pub async fn send_line(&self, line: &str) {
        self.write(format!("{line}\n").as_bytes()).await;
    }

    /// Closes the sending direction.
    pub fn half_close(&self) {
        record_line(&self.recent_lines, "--", b"half-close");
        // Ignored: on a closed connection, the next read returns the error.
        shutdown(&self.socket, Shutdown::Write).ok();
    }

    /// Closes the connection, with a reset if it is TCP.
    pub fn reset(self) {
        record_line(&self.recent_lines, "--", b"reset");
        if self.is_tcp {
            sockopt::set_socket_linger(&self.socket, Some(Duration::ZERO)).ok();
        }
    }

    /// Reads the next line, until the time `until`.
    pub async fn read_line(&mut self, until: Instant) -> ReadEvent {
        const READ_BYTES: usize = 16 * 1024;
        loop {
            let rest = &self.buffer[self.start..];
            if let Some(end) = rest.iter().position(|&b| b == b'\n') {
                let line = rest[..=end].to_vec();
                self.start += line.len();
                record_line(&self.recent_lines, "<", &line);
                return ReadEvent::Line(line);
            }
            self.buffer.drain(..self.start);
            self.start = 0;
            let filled = self.buffer.len();
            self.buffer.resize(filled + READ_BYTES, 0);
            let free = &mut self.buffer[filled..];
            let read = async {
                let read = self.socket.read_with(|fd| Ok(rustix::io::read(fd, &mut *free)?));
                Some(read.await)
            };
            let timeout = async {
                Timer::at(until).await;
                None
            };
            let read = read.or(timeout).await;
            let count = read.as_ref().map_or(0, |read| *read.as_ref().unwrap_or(&0));
            self.buffer.truncate(filled + count);
            let error = match read {
                None => return ReadEvent::Timeout,
                Some(Ok(0)) if filled > 0 => Some(io::Error::other("closed inside a line")),
                Some(Ok(0)) => None,
                Some(Err(error)) => Some(error),
                Some(Ok(_)) => {
                    yield_now().await;
                    continue;
                }
            };
            record_line(&self.recent_lines, "--", format!("closed: {error:?}").as_bytes());
            return ReadEvent::Closed(error);
        }
    }

    /// Returns whether the server of this connection was killed.
    pub fn was_server_killed(&self) -> bool {
        self.generation != self.shared.nodes.borrow()[self.node].generation
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.shared.open_connections.set(self.shared.open_connections.get() - 1);
    }
}
